# Blocks of 100 bytes are set aside for node 3 in its session 7, and the first are open.
malloc size=100
run node=3 session=7 size=100 length=36
----
ok 0x500000001000 size 100 index 1
block 0x500000001000 size 100 in company 1 behind 0x500000001000
changed 0x500000001000
log 1: S1 allocate 0x500000001000 100
ok 0x500000001070 size 36 token 2 length 32 index 2
block 0x500000001070 size 4032 in company 1 behind 0x500000001070
changed 0x500000001070
changed 0x5000000010e0
changed 0x500000001150
changed 0x5000000011c0
changed 0x500000001230
changed 0x5000000012a0
changed 0x500000001310
changed 0x500000001380
changed 0x5000000013f0
changed 0x500000001460
changed 0x5000000014d0
changed 0x500000001540
changed 0x5000000015b0
changed 0x500000001620
changed 0x500000001690
changed 0x500000001700
changed 0x500000001770
changed 0x5000000017e0
changed 0x500000001850
changed 0x5000000018c0
changed 0x500000001930
changed 0x5000000019a0
changed 0x500000001a10
changed 0x500000001a80
changed 0x500000001af0
changed 0x500000001b60
changed 0x500000001bd0
changed 0x500000001c40
changed 0x500000001cb0
changed 0x500000001d20
changed 0x500000001d90
changed 0x500000001e00
changed 0x500000001e70
changed 0x500000001ee0
changed 0x500000001f50
changed 0x500000001fc0
log 2: S1 set aside 0x500000001070 3600

# What is open is an allocation; what is set aside is nobody's.
write addr=0x500000001070 data=hello
write addr=0x500000001e70 data=hello
dump addr=0x500000001e70
free addr=0x500000001e70
----
ok 0x500000001070 size 5 index 3
log 3: S1 write 0x500000001070 5
not_allocated: 0x500000001e70 is in no allocation; allocate first, or list the allocations with t index 4
not_allocated: 0x500000001e70 is in no allocation; allocate first, or list the allocations with t index 4
already_free: 0x500000001e70 is free already; nothing was done index 5

# Somebody else's FREE of what is open waits for the node's word, for a second.
free addr=0x500000001070
free addr=0x500000001070 node=3 session=7 length=2 size=1
free addr=0x500000001070
free addr=0x5000000010e0
free addr=0x5000000010e0 elapsed=1001
free addr=0x5000000010e0
----
busy: whether node 3 has handed out 0x500000001070 it tells in a moment; nothing was done, try again index 6
ok 0x500000001070 size 100 index 7
changed 0x500000001070
changed 0x500000001070
log 7: S1 claim 0x500000001070 100
log 7: S1 free 0x500000001070 100
already_free: 0x500000001070 is free already; nothing was done index 8
busy: whether node 3 has handed out 0x5000000010e0 it tells in a moment; nothing was done, try again index 9
ok 0x5000000010e0 size 100 index 10
changed 0x5000000010e0
log 10: S1 free 0x5000000010e0 100
already_free: 0x5000000010e0 is free already; nothing was done index 11

# A CLAIM passes what was freed; what is closed is zero and set aside again. Open are at most 32.
write addr=0x500000001310 data=stray
claim node=3 session=7 token=2 size=3 length=3 order=1
claim node=3 session=7 token=2 size=3 length=36 order=2
claim node=3 session=7 token=2 size=36 length=36 order=3
claim node=3 session=8 token=2 size=3 length=3 order=4
claim node=3 session=7 token=2 size=4 length=6 order=5
# One that was overtaken does nothing.
claim node=3 session=7 token=2 size=4 length=4 order=2
reload
table
----
ok 0x500000001310 size 5 index 12
log 12: S1 write 0x500000001310 5
ok size 36 value 3 token 2 length 3 index 13
changed 0x5000000010e0
changed 0x500000001150
changed 0x5000000011c0
changed 0x500000001230
changed 0x5000000012a0
changed 0x500000001310
changed 0x500000001380
changed 0x5000000013f0
changed 0x500000001460
changed 0x5000000014d0
changed 0x500000001540
changed 0x5000000015b0
changed 0x500000001620
changed 0x500000001690
changed 0x500000001700
changed 0x500000001770
changed 0x5000000017e0
changed 0x500000001850
changed 0x5000000018c0
changed 0x500000001930
changed 0x5000000019a0
changed 0x500000001a10
changed 0x500000001a80
changed 0x500000001af0
changed 0x500000001b60
changed 0x500000001bd0
changed 0x500000001c40
changed 0x500000001cb0
changed 0x500000001d20
changed 0x500000001d90
changed 0x500000001e00
log 13: S1 claim 0x5000000010e0 100
ok size 36 value 3 token 2 length 35 index 14
changed 0x5000000011c0
changed 0x500000001230
changed 0x5000000012a0
changed 0x500000001310
changed 0x500000001380
changed 0x5000000013f0
changed 0x500000001460
changed 0x5000000014d0
changed 0x500000001540
changed 0x5000000015b0
changed 0x500000001620
changed 0x500000001690
changed 0x500000001700
changed 0x500000001770
changed 0x5000000017e0
changed 0x500000001850
changed 0x5000000018c0
changed 0x500000001930
changed 0x5000000019a0
changed 0x500000001a10
changed 0x500000001a80
changed 0x500000001af0
changed 0x500000001b60
changed 0x500000001bd0
changed 0x500000001c40
changed 0x500000001cb0
changed 0x500000001d20
changed 0x500000001d90
changed 0x500000001e00
changed 0x500000001e70
changed 0x500000001ee0
changed 0x500000001f50
invalid_argument: node 3 claims 36 blocks of run 2, of which it could hand out 35 index 15
fenced: CLAIM of node 3 in session 8: what was set aside for it in company 1 is settled; nothing was done index 16
ok size 36 value 4 token 2 length 6 index 17
changed 0x5000000011c0
changed 0x500000001310
changed 0x500000001380
changed 0x5000000013f0
changed 0x500000001460
changed 0x5000000014d0
changed 0x500000001540
changed 0x5000000015b0
changed 0x500000001620
changed 0x500000001690
changed 0x500000001700
changed 0x500000001770
changed 0x5000000017e0
changed 0x500000001850
changed 0x5000000018c0
changed 0x500000001930
changed 0x5000000019a0
changed 0x500000001a10
changed 0x500000001a80
changed 0x500000001af0
changed 0x500000001b60
changed 0x500000001bd0
changed 0x500000001c40
changed 0x500000001cb0
changed 0x500000001d20
changed 0x500000001d90
changed 0x500000001e00
changed 0x500000001e70
changed 0x500000001ee0
changed 0x500000001f50
log 17: S1 claim 0x5000000011c0 100
ok size 36 value 4 token 2 length 6 index 18
ok size 5 index 18
data "[{\"address\":\"0x500000001000\",\"size\":100,\"state\":\"allocated\",\"blocks\":[{\"address\":\"0x500000001000\",\"size\":100,\"company\":1,\"nodes\":null}]},{\"address\":\"0x500000001150\",\"size\":100,\"state\":\"allocated\",\"blocks\":[{\"address\":\"0x500000001150\",\"size\":100,\"company\":1,\"nodes\":null}]},{\"address\":\"0x5000000011c0\",\"size\":100,\"state\":\"allocated\",\"blocks\":[{\"address\":\"0x5000000011c0\",\"size\":100,\"company\":1,\"nodes\":null}]},{\"address\":\"0x500000001230\",\"size\":100,\"state\":\"allocated\",\"blocks\":[{\"address\":\"0x500000001230\",\"size\":100,\"company\":1,\"nodes\":null}]},{\"address\":\"0x5000000012a0\",\"size\":100,\"state\":\"allocated\",\"blocks\":[{\"address\":\"0x5000000012a0\",\"size\":100,\"company\":1,\"nodes\":null}]}]"

# Settled: what was handed out stays, and the session is over.
settle node=3 session=7 length=1
run node=3 session=7 size=16 length=4
claim node=3 session=7 token=2 size=6 length=6 order=6
settle node=3 session=7 length=1
table
print
----
ok value 3200 index 19
changed 0x500000001230
changed 0x5000000012a0
changed 0x500000001310
changed 0x500000001380
changed 0x5000000013f0
changed 0x500000001460
changed 0x5000000014d0
changed 0x500000001540
changed 0x5000000015b0
changed 0x500000001620
changed 0x500000001690
changed 0x500000001700
changed 0x500000001770
changed 0x5000000017e0
changed 0x500000001850
changed 0x5000000018c0
changed 0x500000001930
changed 0x5000000019a0
changed 0x500000001a10
changed 0x500000001a80
changed 0x500000001af0
changed 0x500000001b60
changed 0x500000001bd0
changed 0x500000001c40
changed 0x500000001cb0
changed 0x500000001d20
changed 0x500000001d90
changed 0x500000001e00
changed 0x500000001e70
changed 0x500000001ee0
changed 0x500000001f50
changed 0x500000001fc0
log 19: S1 settle 0x500000001230 3200
fenced: RUN of node 3 in session 7: what was set aside for it in company 1 is settled; nothing was done index 20
fenced: CLAIM of node 3 in session 7: what was set aside for it in company 1 is settled; nothing was done index 21
ok index 22
ok size 3 index 22
data "[{\"address\":\"0x500000001000\",\"size\":100,\"state\":\"allocated\",\"blocks\":[{\"address\":\"0x500000001000\",\"size\":100,\"company\":1,\"nodes\":null}]},{\"address\":\"0x500000001150\",\"size\":100,\"state\":\"allocated\",\"blocks\":[{\"address\":\"0x500000001150\",\"size\":100,\"company\":1,\"nodes\":null}]},{\"address\":\"0x5000000011c0\",\"size\":100,\"state\":\"allocated\",\"blocks\":[{\"address\":\"0x5000000011c0\",\"size\":100,\"company\":1,\"nodes\":null}]}]"
company 1 from 0x500000000000 to 0x501000000000: used 300, charged 336 of 1048576, room 1044480, allocations 3
index 22, clock 1022 ms, node client leads in term 0 since index 0
  0x500000001000 allocated 100
  0x500000001150 allocated 100
  0x5000000011c0 allocated 100
free: window 0x500000001000 to 0x501000000000, free 68719472304, high 0x500000002030
  0x500000001070+224
  0x500000001230+68719472080
node 3 is settled to session 7
pages 0 bytes, sum 00000000

# Without numbers all that is open stays.
run node=3 session=8 size=16 length=4
claim node=3 session=8 token=22 size=1 length=2 order=7
settle node=3 session=8
run node=3 session=0 size=16 length=4
run node=3 session=9 size=513 length=4
run node=3 session=9 size=16 length=0
----
ok 0x500000001070 size 4 token 23 length 4 index 23
block 0x500000001070 size 64 in company 1 behind 0x500000001070
changed 0x500000001070
changed 0x500000001080
changed 0x500000001090
changed 0x5000000010a0
log 23: S1 set aside 0x500000001070 64
fenced: CLAIM of node 3 in session 8: what was set aside for it in company 1 is settled; nothing was done index 24
ok index 25
changed 0x500000001070
changed 0x500000001080
changed 0x500000001090
changed 0x5000000010a0
log 25: S1 claim 0x500000001070 64
invalid_argument: RUN for node 3 in session 0: only a node has runs, in the session that it is in index 26
invalid_argument: a run of 4 blocks of 513 bytes; 1 to 1024 blocks of 1 to 512 bytes are possible index 27
invalid_argument: a run of 0 blocks of 16 bytes; 1 to 1024 blocks of 1 to 512 bytes are possible index 28

