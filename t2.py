import numpy as np, time, statistics as st, sys
sys.path.insert(0,'/tmp/k5')
from pipeline.packing.kernels import popcount
rng=np.random.default_rng(0)
u=np.uintp
for M,N,K in [(1,768,768),(8,768,3072),(5,96,128),(128,768,768),(128,3072,768),(128,768,3072),(128,384,384)]:
  for diff in (1,0):
    w=rng.integers(0,2,(N,K)).astype(bool); a=rng.integers(0,2,(M,K)).astype(bool); C=np.zeros((M,N),np.int32)
    W=np.ascontiguousarray(np.packbits(w,axis=1,bitorder='little').view(np.uint64).reshape(N//8,8,K//64).transpose(0,2,1)); A=np.packbits(a,axis=1,bitorder='little').view(np.uint64).copy()
    f=lambda: popcount.count(u(A.ctypes.data),u(W.ctypes.data),u(C.ctypes.data),M,N,K//64,diff)
    t=time.time(); f(); j=time.time()-t
    ref=a.astype(np.int32)@w.T.astype(np.int32)
    if diff: ref=a.sum(1)[:,None]+w.sum(1)-2*ref
    ok=(C==ref).all()
    T=[]
    for _ in range(40):
        s=time.thread_time()
        for _ in range(4): f()
        T.append((time.thread_time()-s)/4)
    print(M,N,K,diff,ok,'jit %.1f'%j,'%.0f/%.0f'%(2*M*N*K/st.median(T)*1e-9,2*M*N*K/min(T)*1e-9))
