# profile of parts
import numpy as np, time, sys
sys.argv=['x','0','128','a8']
exec(open('/tmp/k5/t5.py').read().split("f=lambda")[0])
from numba import njit
from pipeline.packing.kernels import attention as A2
from pipeline.packing.kernels.linear import linear, ROOM
import numba
@njit
def att(q,heads,ctx,S,H,NH,mask,rest,n):
    for i in range(n): A2.attend(q,heads,3*H,ctx,H,S,NH,H//NH,mask,rest)
@njit
def lin(p,x,S,H,st,out,ost,fol,room,steps,sums,n):
    for i in range(n):
        for f in range(0,S,8): linear(p,x+f*H*4,H,8,out+f*ost*4,ost,x,H,fol,room,steps,sums)
heads=rng.normal(size=(S,3*H)).astype(np.float32); ctx=np.zeros((S,H),np.float32); wide=np.zeros((S,F),np.float32)
st=np.zeros(8,np.float32); su=np.zeros(8,np.int64)
def tm(name,f,n=20):
    f(1); t=time.thread_time(); f(n); print(name,'%.3f ms'%((time.thread_time()-t)/n*1e3),flush=True)
tm('attention',lambda n: att(q[0],heads.ctypes.data,ctx.ctypes.data,S,H,NH,mask.ctypes.data,ra+ROOM,n))
tm('qkv',lambda n: lin(places[0,0],x.ctypes.data,S,H,0,heads.ctypes.data,3*H,0,ra,st,su,n))
tm('out',lambda n: lin(places[0,1],x.ctypes.data,S,H,0,ctx.ctypes.data,H,1,ra,st,su,n))
tm('up',lambda n: lin(places[0,2],x.ctypes.data,S,H,0,wide.ctypes.data,F,2,ra,st,su,n))
tm('down',lambda n: lin(places[0,3],wide.ctypes.data,S,F,0,ctx.ctypes.data,H,0,ra,st,su,n))
