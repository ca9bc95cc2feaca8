import numpy as np, time, statistics as st, sys
sys.path.insert(0,'/tmp/k5')
from pipeline.packing.kernels import dot_products as d
rng=np.random.default_rng(0)
u=np.uintp
def blocks(w):
    N,K=w.shape
    return w.reshape(N//16,16,K//4,4).transpose(0,2,1,3).reshape(N//16,K//4,64)
def lay(w,bits):
    b=blocks(w)
    if bits==1: return np.packbits(b>0,axis=-1,bitorder='little')
    if bits==2: return np.concatenate([np.packbits(b!=0,axis=-1,bitorder='little'),np.packbits(b<0,axis=-1,bitorder='little')],-1)
    if bits==4: v=(b+8).astype(np.uint8); return v[...,:32]|v[...,32:]<<4
    return b.astype(np.int8)
for M,N,K in [(1,768,768),(8,768,3072),(5,96,128),(128,768,768),(128,3072,768),(128,768,3072),(128,384,384)]:
  for bits in (1,2,4,8):
    hi={1:1,2:1,4:7,8:127}[bits]
    w=rng.integers(0 if bits==1 else -hi,hi+1,(N,K)); a=rng.integers(-127,128,(M,K)); C=np.zeros((M,N),np.int32); W=np.ascontiguousarray(lay(w,bits)); A=(a+128).astype(np.uint8)
    mul=getattr(d,f'multiply_{bits}')
    f=lambda: mul(u(A.ctypes.data),u(W.ctypes.data),u(C.ctypes.data),M,N,K)
    t=time.time(); f(); j=time.time()-t
    ref=(a+128)@w.T
    ok=(C==ref).all()
    T=[]
    for _ in range(30):
        s=time.thread_time()
        for _ in range(4): f()
        T.append((time.thread_time()-s)/4)
    print(M,N,K,bits,ok,'jit %.1f'%j,'%.0f/%.0f'%(2*M*N*K/st.median(T)*1e-9,2*M*N*K/min(T)*1e-9))
