# A repetition gets the first answer; the second is not done.
malloc client=1 seq=5 size=64
malloc client=1 seq=5 size=64
malloc client=1 seq=6 size=64
----
ok 0x500000001000 size 64 index 1
block 0x500000001000 size 64 in company 1 behind 0x500000001000
changed 0x500000001000
log 1: S1 allocate 0x500000001000 64
ok 0x500000001000 size 64 index 1
block 0x500000001000 size 64 in company 1 behind 0x500000001000
ok 0x500000001040 size 64 index 3
block 0x500000001040 size 64 in company 1 behind 0x500000001040
changed 0x500000001040
log 3: S1 allocate 0x500000001040 64

# Refusals are answers, too.
free client=1 seq=7 addr=0x500000008000
malloc client=1 seq=8 size=40000
free client=1 seq=7 addr=0x500000008000
----
not_allocated: 0x500000008000 was never allocated; list the allocations with t index 4
ok 0x500000002000 size 40000 index 5
block 0x500000002000 size 40000 in company 1 behind 0x500000002000
changed 0x500000002000
log 5: S1 allocate 0x500000002000 40000
not_allocated: 0x500000008000 was never allocated; list the allocations with t index 4

# The client has its answers below 7.
malloc client=1 seq=9 low=7 size=1
malloc client=1 seq=6 size=1
malloc client=1 seq=65543 size=1
----
ok 0x500000001080 size 1 index 7
block 0x500000001080 size 1 in company 1 behind 0x500000001080
changed 0x500000001080
log 7: S1 allocate 0x500000001080 1
too_old: request 6 of client 01000000000000000000000000000000 is below 7, up to where the client said it has its answers; nothing was done, use a new number index 8
busy: request 65543 of client 01000000000000000000000000000000 is 65536 or more ahead of its oldest unanswered one, 7; nothing was done, wait for answers first index 9

reload
malloc client=1 seq=7 size=1
malloc client=2 seq=1 size=1
print
----
not_allocated: 0x500000008000 was never allocated; list the allocations with t index 4
ok 0x500000001090 size 1 index 11
block 0x500000001090 size 1 in company 1 behind 0x500000001090
changed 0x500000001090
log 11: S1 allocate 0x500000001090 1
company 1 from 0x500000000000 to 0x501000000000: used 40130, charged 41120 of 1048576, room 1003520, allocations 5
index 11, clock 11 ms, node client leads in term 0 since index 0
  0x500000001000 allocated 64
  0x500000001040 allocated 64
  0x500000001080 allocated 1
  0x500000001090 allocated 1
  0x500000002000 allocated 40000
free: window 0x500000001000 to 0x501000000000, free 68719431520, high 0x50000000c000
  0x5000000010a0+3936
  0x50000000c000+68719427584
client 01000000000000000000000000000000 heard at 10, low 7: 7=not_allocated 8=ok 9=ok
client 02000000000000000000000000000000 heard at 11, low 0: 1=ok
pages 0 bytes, sum 00000000

# After 15 minutes of entries nobody remembers them.
none elapsed=60000
none elapsed=60000
none elapsed=60000
none elapsed=60000
none elapsed=60000
none elapsed=60000
none elapsed=60000
none elapsed=60000
none elapsed=60000
none elapsed=60000
none elapsed=60000
none elapsed=60000
none elapsed=60000
none elapsed=60000
none elapsed=60000
----
unsupported: company 1 cannot do NONE through its log; it allocates, frees and writes index 12
unsupported: company 1 cannot do NONE through its log; it allocates, frees and writes index 13
unsupported: company 1 cannot do NONE through its log; it allocates, frees and writes index 14
unsupported: company 1 cannot do NONE through its log; it allocates, frees and writes index 15
unsupported: company 1 cannot do NONE through its log; it allocates, frees and writes index 16
unsupported: company 1 cannot do NONE through its log; it allocates, frees and writes index 17
unsupported: company 1 cannot do NONE through its log; it allocates, frees and writes index 18
unsupported: company 1 cannot do NONE through its log; it allocates, frees and writes index 19
unsupported: company 1 cannot do NONE through its log; it allocates, frees and writes index 20
unsupported: company 1 cannot do NONE through its log; it allocates, frees and writes index 21
unsupported: company 1 cannot do NONE through its log; it allocates, frees and writes index 22
unsupported: company 1 cannot do NONE through its log; it allocates, frees and writes index 23
unsupported: company 1 cannot do NONE through its log; it allocates, frees and writes index 24
unsupported: company 1 cannot do NONE through its log; it allocates, frees and writes index 25
unsupported: company 1 cannot do NONE through its log; it allocates, frees and writes index 26

malloc client=2 seq=1 size=1
print
none elapsed=1
print
----
ok 0x5000000010a0 size 1 index 27
block 0x5000000010a0 size 1 in company 1 behind 0x5000000010a0
changed 0x5000000010a0
log 27: S1 allocate 0x5000000010a0 1
company 1 from 0x500000000000 to 0x501000000000: used 40131, charged 41136 of 1048576, room 1003520, allocations 6
index 27, clock 900012 ms, node client leads in term 0 since index 0
  0x500000001000 allocated 64
  0x500000001040 allocated 64
  0x500000001080 allocated 1
  0x500000001090 allocated 1
  0x5000000010a0 allocated 1
  0x500000002000 allocated 40000
free: window 0x500000001000 to 0x501000000000, free 68719431504, high 0x50000000c000
  0x5000000010b0+3920
  0x50000000c000+68719427584
client 02000000000000000000000000000000 heard at 900012, low 0: 1=ok
pages 0 bytes, sum 00000000
unsupported: company 1 cannot do NONE through its log; it allocates, frees and writes index 28
company 1 from 0x500000000000 to 0x501000000000: used 40131, charged 41136 of 1048576, room 1003520, allocations 6
index 28, clock 900013 ms, node client leads in term 0 since index 0
  0x500000001000 allocated 64
  0x500000001040 allocated 64
  0x500000001080 allocated 1
  0x500000001090 allocated 1
  0x5000000010a0 allocated 1
  0x500000002000 allocated 40000
free: window 0x500000001000 to 0x501000000000, free 68719431504, high 0x50000000c000
  0x5000000010b0+3920
  0x50000000c000+68719427584
client 02000000000000000000000000000000 heard at 900012, low 0: 1=ok
pages 0 bytes, sum 00000000

