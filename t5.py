import numpy as np, time, sys, statistics as st
sys.path.insert(0,'/tmp/k5')
from pipeline.packing.kernels import encoder, linear as L, attention as A, lookup, popcount
rng=np.random.default_rng(0)
H,F,NH,NL=[(768,3072,12,12),(384,1536,12,6)][int(sys.argv[1]) if len(sys.argv)>1 else 0]
S=int(sys.argv[2]) if len(sys.argv)>2 else 128
mode=sys.argv[3] if len(sys.argv)>3 else 'a8'
keep=[]
def P(a):
    a=np.ascontiguousarray(a); keep.append(a); return a.ctypes.data
def pack(w): 
    N,K=w.shape; b=np.packbits(w,axis=1,bitorder='little').view(np.uint16); return np.ascontiguousarray(b.reshape(N//32,32,K//16).transpose(0,2,1))
def packx(w):
    N,K=w.shape; return np.ascontiguousarray(np.packbits(w,axis=1,bitorder='little').view(np.uint64).reshape(N//8,8,K//64).transpose(0,2,1))
def place(N,K,rec):
    w=rng.integers(0,2,(N,K)).astype(bool); sc=(rng.random(N)*.05).astype(np.float32)
    rec['num_inputs']=K; rec['num_outputs']=N; rec['column_at']=P(np.zeros(N,np.int32)); rec['scale_at']=P(sc); rec['shifted_at']=P(np.zeros(N,np.float32)); rec['bias_at']=P(np.zeros(N,np.float32)); rec['shift_at']=P(np.zeros(K,np.float32))
    if mode=='a8': rec['product']=L.LOOKUP; rec['quantizer']=L.PER_TOKEN; rec['weights_at']=P(pack(w)); rec['low']=-127; rec['high']=127
    else: rec['product']=L.DIFFERING; rec['quantizer']=L.BITS; rec['weights_at']=P(packx(w)); rec['step']=1; rec['unit']=1
places=np.zeros((NL,4),L.PLACE); q=np.zeros((NL,4),A.QUANTIZER); n=np.zeros((NL,2),encoder.NORMS)
for l in range(NL):
    for i,(N,K) in enumerate([(3*H,H),(H,H),(F,H),(H,F)]): place(N,K,places[l,i])
    for i in range(4):
        q[l,i]['quantizer']=0 if mode=='a8' else L.BITS; q[l,i]['low']=-127; q[l,i]['high']=127; q[l,i]['step']=.1; q[l,i]['shift_at']=P(np.zeros(H,np.float32))
    for i in range(2): n[l,i]['weight_at']=P(np.ones(H,np.float32)); n[l,i]['bias_at']=P(np.zeros(H,np.float32))
x=rng.normal(size=(S,H)).astype(np.float32); mask=np.zeros((S+15)//16*16,np.float32); mask[S:]=-3e38
room=np.zeros(encoder.room_for(S,H,F,H//NH)+4096,np.uint8); ra=(room.ctypes.data+4095)//4096*4096
f=lambda: encoder.encode(places,q,n,x.ctypes.data,S,H,NH,F,mask.ctypes.data,np.float32(1e-12),L.GELU,ra)
t=time.time(); f(); print('jit',time.time()-t)
T=[]
for _ in range(15):
    s=time.thread_time(); f(); T.append((time.thread_time()-s)*1e3)
print('ms %.2f min %.2f'%(st.median(T),min(T)), x.std())
