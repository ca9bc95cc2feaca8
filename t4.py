import numpy as np, time, sys
sys.path.insert(0,'/tmp/k5')
import torch
from numba import njit
from pipeline.packing.kernels import rows as r
u=np.uintp
@njit
def f_large(x,n): return r.largest_magnitude(x,n)
@njit
def f_quant(x,c,n,s,o,l,h,a): return r.quantize(x,c,n,s,o,l,h,a)
@njit
def f_bits(x,s,b,n,st,t): return r.to_bits(x,s,b,n,st,t)
@njit
def f_gelu(s,y,n,f,a,c,st,sc,sh,b,o): r.finish_gelu(s,y,n,f,a,c,st,sc,sh,b,o)
@njit
def f_norm(y,w,b,n,e): r.normalize(y,w,b,n,e)
@njit
def f_soft(y,m,n,s): r.softmax(y,m,n,s)
P=lambda a:u(a.ctypes.data)
rng=np.random.default_rng(0); n=768
x=rng.normal(size=n).astype(np.float32)
m=f_large(P(x),n); assert m==np.abs(x).max()
c=np.zeros(n,np.int8); step=np.float32(m)/np.float32(127)
s=f_quant(P(x),P(c),n,step,np.float32(0),np.float32(-127),np.float32(127),np.int32(0)); ref=np.rint(x/step).astype(int); print((c==ref).all(), s==ref.sum())
b=np.zeros(n//8,np.uint8); sh=rng.normal(size=n).astype(np.float32)*.1
k=f_bits(P(x),P(sh),P(b),n,np.float32(1),np.float32(0)); print((np.unpackbits(b,bitorder='little')==(x>=sh)).all(), k==(x>=sh).sum())
acc=rng.integers(-5000,5000,n).astype(np.int32); col=rng.integers(-50,50,n).astype(np.int32); sc=rng.random(n).astype(np.float32)*.001; z=np.zeros(n,np.float32); bi=rng.normal(size=n).astype(np.float32); y=np.zeros(n,np.float32)
f_gelu(P(acc),P(y),n,np.int32(2),np.int32(7),P(col),step,P(sc),P(z),P(bi),P(z))
t=torch.nn.functional.gelu(torch.tensor((2*acc+7+col).astype(np.float32))*float(step)*torch.tensor(sc)+torch.tensor(bi)).numpy(); print('gelu',np.abs(t-y).max())
w=rng.normal(size=n).astype(np.float32); y2=x.copy(); f_norm(P(y2),P(w),P(bi),n,np.float32(1e-12)); print('norm',np.abs(torch.nn.functional.layer_norm(torch.tensor(x),(n,),torch.tensor(w),torch.tensor(bi),1e-12).numpy()-y2).max())
mk=np.where(np.arange(128)<100,0,-3.4e38).astype(np.float32); q=rng.normal(size=128).astype(np.float32)*8; q2=q.copy(); f_soft(P(q2),P(mk),128,np.float32(.125)); ref=torch.softmax(torch.tensor(q)*.125+torch.tensor(mk),-1).numpy(); print('soft',np.abs(ref-q2).max(), q2[100:].max())
@njit
def many(f,s,y,n,c,st,sc,z,b):
    for i in range(1000): r.finish_gelu(s,y,n,2,7,c,st,sc,z,b,z)
@njit
def many2(x,c,n):
    for i in range(1000): r.quantize(x,c,n,np.float32(.1),np.float32(0),np.float32(-127),np.float32(127),0)
@njit
def many3(y,w,b,n):
    for i in range(1000): r.normalize(y,w,b,n,np.float32(1e-12))
@njit
def many4(y,m,n):
    for i in range(1000): r.softmax(y,m,n,np.float32(.1))
for name,g in (('gelu/768',lambda: many(0,P(acc),P(y),n,P(col),step,P(sc),P(z),P(bi))),('quant',lambda: many2(P(x),P(c),n)),('norm',lambda:many3(P(y2),P(w),P(bi),n)),('soft/128',lambda:many4(P(q2),P(mk),128))):
    g(); t=time.thread_time(); g(); print(name,'%.0f ns'%((time.thread_time()-t)*1e6))
