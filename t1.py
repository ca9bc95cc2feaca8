import numpy as np, time, statistics as st, sys
sys.path.insert(0,'/tmp/k5')
from pipeline.packing.kernels import lookup
rng=np.random.default_rng(0)
def pack(w):
    N,K=w.shape
    b=np.packbits(w,axis=1,bitorder='little').view(np.uint16); return np.ascontiguousarray(b.reshape(N//32,32,K//16).transpose(0,2,1))
tb=np.zeros(65536+64,np.uint8); ta=(tb.ctypes.data+63)//64*64
u=np.uintp
for M,N,K in [(1,768,768),(8,768,3072),(5,96,48),(128,768,768),(128,3072,768),(128,768,3072),(128,384,384)]:
    w=rng.integers(0,2,(N,K)).astype(bool); a=rng.integers(-127,128,(M,K)).astype(np.int8); C=np.zeros((M,N),np.int32); W=pack(w)
    t=time.time()
    f=lambda: lookup.multiply(u(a.ctypes.data),u(W.ctypes.data),u(C.ctypes.data),u(ta),M,N,K)
    f(); j=time.time()-t
    ok=(C==a.astype(np.int32)@w.T.astype(np.int32)).all()
    T=[]
    for _ in range(40):
        s=time.thread_time()
        for _ in range(4): f()
        T.append((time.thread_time()-s)/4)
    print(M,N,K,ok,'jit %.1f'%j,'%.0f/%.0f'%(2*M*N*K/st.median(T)*1e-9,2*M*N*K/min(T)*1e-9))
