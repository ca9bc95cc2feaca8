import sys; sys.path.insert(0,'/tmp/k5')
import numpy as np, torch, time
from pipeline.packing.model import load
from pipeline.packing.kernels import encoder, linear as L, attention as A, layouts
from pipeline.quantizers.per_token import PerToken
from pipeline.quantizers.learned_step import LearnedStep
from pipeline.quantizers.elastic import ElasticBinary
torch.set_num_threads(1)
keep=[]
def P(a):
    a=np.ascontiguousarray(a); keep.append(a); return a.ctypes.data
def rec_quant(rec,q,K):
    z=np.zeros(K,np.float32)
    rec['shift_at']=P(z)
    if isinstance(q,PerToken): rec['quantizer']=L.PER_TOKEN; rec['low'],rec['high']=-q.largest,q.largest; rec['step']=1
    elif isinstance(q,LearnedStep):
        rec['quantizer']=L.STEP; rec['low'],rec['high']=q.low,q.high; rec['step']=float(q.log_step.exp())
        if 'offset' in rec.dtype.names and q.offset is not None: rec['offset']=float(q.offset)
    else:
        rec['quantizer']=L.BITS; rec['step']=float(q.log_step.exp())
        if q.shift is not None: rec['shift_at']=P(np.broadcast_to(q.shift.detach().numpy().reshape(-1),(K,)).copy())
        if 'threshold' in rec.dtype.names:
            rec['threshold']=0 if q.signed else .5; rec['unit']=1 if q.signed else float(q.log_step.exp())
def place(rec,layers,engine):
    ws=[l.weight() for l in layers]; codes=np.concatenate([w.codes_OI.numpy() for w in ws]); scale=np.concatenate([np.broadcast_to(w.scale_O.numpy(),(w.codes_OI.shape[0],)) for w in ws]).astype(np.float32)
    bias=np.concatenate([l.bias.detach().numpy() for l in layers]); q=layers[0].activation; bits=layers[0].bits
    rec_quant(rec,q,codes.shape[1])
    if isinstance(q,ElasticBinary) and bits==1: laid=layouts.for_popcount(codes); rec['product']=L.DIFFERING if q.signed else L.COMMON
    elif bits==1 and engine=='lookup': laid=layouts.for_lookup(codes); rec['product']=L.LOOKUP
    else: laid=layouts.for_dot_products(codes,bits); rec['product']={1:L.DOT_1,2:L.DOT_2,4:L.DOT_4,8:L.DOT_8}[bits]
    rec['num_outputs'],rec['num_inputs']=codes.shape
    keep.append(laid.words); rec['weights_at']=laid.words.ctypes.data; rec['column_at']=P(laid.column)
    shifted=np.zeros(len(scale),np.float32)
    if rec['offset']: shifted=(codes.sum(1)*scale*np.float32(rec['offset'])).astype(np.float32)
    if not isinstance(q,PerToken): scale=scale*np.float32(rec['step'])
    rec['shifted_at']=P(shifted); rec['scale_at']=P(scale); rec['bias_at']=P(bias)
class R:
    def __init__(s,m,engine):
        c=m.config; s.c=c; e=m.bert.encoder.layer; n=len(e); s.m=m
        s.places=np.zeros((n,6),L.PLACE); s.q=np.zeros((n,4),A.QUANTIZER); s.n=np.zeros((n,2),encoder.NORMS)
        s.sep=[]
        for l,y in enumerate(e):
            at=y.attention.self
            
            if isinstance(at.query.activation,PerToken): place(s.places[l,0],[at.query,at.key,at.value],engine)
            else:
                for i,k in enumerate((at.query,at.key,at.value)): place(s.places[l,i],[k],engine)
            place(s.places[l,3],[y.attention.output.dense],engine); place(s.places[l,4],[y.intermediate.dense],engine); place(s.places[l,5],[y.output.dense],engine)
            for i,k in enumerate(('query','key','value','probabilities')): rec_quant(s.q[l,i],getattr(at.products,k),c.hidden_size)
            for i,k in enumerate((y.attention.output.LayerNorm,y.output.LayerNorm)): s.n[l,i]['weight_at']=P(k.weight.detach().numpy()); s.n[l,i]['bias_at']=P(k.bias.detach().numpy())
    def __call__(s,ids,mask):
        with torch.no_grad(): x=s.m.bert.embeddings(torch.tensor(ids)).numpy().copy()
        c=s.c; B,S,H=x.shape
        room=np.zeros(encoder.room_for(S,H,c.intermediate_size,H//c.num_attention_heads)+64,np.uint8); ra=(room.ctypes.data+63)//64*64
        for b in range(B):
            m=np.full((S+15)//16*16,np.finfo(np.float32).min,np.float32); m[:S][mask[b]>0]=0
            encoder.encode(s.places,s.q,s.n,x[b].ctypes.data,S,H,c.num_attention_heads,c.intermediate_size,m.ctypes.data,np.float32(c.layer_norm_eps),L.GELU,ra)
        return x
rng=np.random.default_rng(0)
for name in sys.argv[1:]:
    m=load(name).eval()
    ids=rng.integers(5,m.config.vocab_size,(8,20)); mask=np.ones((8,20),int); mask[:4,15:]=0
    with torch.no_grad(): ref=m.bert(input_ids=torch.tensor(ids),attention_mask=torch.tensor(mask))[0].numpy()
    for engine in ('lookup','dot'):
        try: o=R(m,engine)(ids,mask)
        except Exception as ex: print(name,engine,repr(ex)[:200]); continue
        k=mask.astype(bool); d=np.abs(o-ref)[k]
        print(name.split('/')[-1],engine,'max %.2e mean %.2e share>1e-4 %.4f'%(d.max(),d.mean(),(d>1e-4).mean()))
