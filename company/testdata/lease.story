# A block of two pages and a bit, and two small ones that share a page.
malloc size=9000
malloc size=16
malloc size=16
write addr=0x500000001000 data=old
----
ok 0x500000001000 size 9000 index 1
block 0x500000001000 size 9000 in company 1 behind 0x500000001000
changed 0x500000001000
log 1: S1 allocate 0x500000001000 9000
ok 0x500000004000 size 16 index 2
block 0x500000004000 size 16 in company 1 behind 0x500000004000
changed 0x500000004000
log 2: S1 allocate 0x500000004000 16
ok 0x500000004010 size 16 index 3
block 0x500000004010 size 16 in company 1 behind 0x500000004010
changed 0x500000004010
log 3: S1 allocate 0x500000004010 16
ok 0x500000001000 size 3 index 4
log 4: S1 write 0x500000001000 3

# Shared leases go together, on whole pages; size 0 is the rest of the block.
lease addr=0x500000001000 node=1 session=7 length=1000
lease addr=0x500000002800 node=2 session=7 length=1000
lease addr=0x500000002800 size=10 node=3 session=7 length=1000
leases
leases addr=0x500000002000 value=1
leases addr=0x500000002000 token=7 value=1
print
----
ok 0x500000001000 size 12288 token 5 length 1000 index 5
lease {Lease:{First:1 Pages:3 Exclusive:false WriteBack:false Node:1 Session:7 Token:5 Length:1000} Ended:false Message:0}
log 5: S1 lease 0x500000001000 12288
ok 0x500000002000 size 8192 token 6 length 1000 index 6
lease {Lease:{First:2 Pages:2 Exclusive:false WriteBack:false Node:2 Session:7 Token:6 Length:1000} Ended:false Message:0}
log 6: S1 lease 0x500000002000 8192
ok 0x500000002000 size 4096 token 7 length 1000 index 7
lease {Lease:{First:2 Pages:1 Exclusive:false WriteBack:false Node:3 Session:7 Token:7 Length:1000} Ended:false Message:0}
log 7: S1 lease 0x500000002000 4096
ok size 3 index 7
data "[{\"company\":1,\"address\":\"0x500000001000\",\"size\":12288,\"mode\":\"r\",\"token\":5,\"holder\":1,\"session\":7,\"length_ms\":1000,\"ms_left\":0},{\"company\":1,\"address\":\"0x500000002000\",\"size\":8192,\"mode\":\"r\",\"token\":6,\"holder\":2,\"session\":7,\"length_ms\":1000,\"ms_left\":0},{\"company\":1,\"address\":\"0x500000002000\",\"size\":4096,\"mode\":\"r\",\"token\":7,\"holder\":3,\"session\":7,\"length_ms\":1000,\"ms_left\":0}]"
ok size 1 value 87960930230272 token 7 index 7
data "[{\"company\":1,\"address\":\"0x500000002000\",\"size\":8192,\"mode\":\"r\",\"token\":6,\"holder\":2,\"session\":7,\"length_ms\":1000,\"ms_left\":0}]"
ok size 1 index 7
data "[{\"company\":1,\"address\":\"0x500000002000\",\"size\":4096,\"mode\":\"r\",\"token\":7,\"holder\":3,\"session\":7,\"length_ms\":1000,\"ms_left\":0}]"
company 1 from 0x500000000000 to 0x501000000000: used 9032, charged 12320 of 1048576, room 1032192, allocations 3
index 7, clock 7 ms, node client leads in term 0 since index 0
  0x500000001000 allocated 9000
  0x500000004000 allocated 16
  0x500000004010 allocated 16
free: window 0x500000001000 to 0x501000000000, free 68719460320, high 0x500000004020
  0x500000004020+68719460320
leases 3, last token 7
  0x500000001000 12288 r token 5 of node 1 in session 7 for 1000 ms, write-back false
  0x500000002000 8192 r token 6 of node 2 in session 7 for 1000 ms, write-back false
  0x500000002000 4096 r token 7 of node 3 in session 7 for 1000 ms, write-back false
pages 4096 bytes, sum 68397c0f

# L3: who has no token meets them. L6: a read does not.
write addr=0x500000001000 data=new
cas addr=0x500000001000 size=0 value=1
add addr=0x500000003000 value=1
free addr=0x500000001000
read addr=0x500000001000 size=3
----
leased: WRITE of the page at 0x500000001000 meets the lease of node 1 with token 5; nothing was done, have it given back or wait for its end 0x500000001000 size 4096 index 8
data "[{\"company\":1,\"address\":\"0x500000001000\",\"size\":12288,\"mode\":\"r\",\"token\":5,\"holder\":1,\"session\":7,\"length_ms\":1000,\"ms_left\":0}]"
leased: CAS of the page at 0x500000001000 meets the lease of node 1 with token 5; nothing was done, have it given back or wait for its end 0x500000001000 size 4096 index 9
data "[{\"company\":1,\"address\":\"0x500000001000\",\"size\":12288,\"mode\":\"r\",\"token\":5,\"holder\":1,\"session\":7,\"length_ms\":1000,\"ms_left\":0}]"
leased: ADD of the page at 0x500000003000 meets the lease of node 1 with token 5, and 1 more; nothing was done, have it given back or wait for its end 0x500000003000 size 4096 index 10
data "[{\"company\":1,\"address\":\"0x500000001000\",\"size\":12288,\"mode\":\"r\",\"token\":5,\"holder\":1,\"session\":7,\"length_ms\":1000,\"ms_left\":0},{\"company\":1,\"address\":\"0x500000002000\",\"size\":8192,\"mode\":\"r\",\"token\":6,\"holder\":2,\"session\":7,\"length_ms\":1000,\"ms_left\":0}]"
leased: FREE of the 3 pages at 0x500000001000 meets the lease of node 1 with token 5, and 2 more; nothing was done, have it given back or wait for its end 0x500000001000 size 12288 index 11
data "[{\"company\":1,\"address\":\"0x500000001000\",\"size\":12288,\"mode\":\"r\",\"token\":5,\"holder\":1,\"session\":7,\"length_ms\":1000,\"ms_left\":0},{\"company\":1,\"address\":\"0x500000002000\",\"size\":8192,\"mode\":\"r\",\"token\":6,\"holder\":2,\"session\":7,\"length_ms\":1000,\"ms_left\":0},{\"company\":1,\"address\":\"0x500000002000\",\"size\":4096,\"mode\":\"r\",\"token\":7,\"holder\":3,\"session\":7,\"length_ms\":1000,\"ms_left\":0}]"
ok 0x500000001000 size 3 index 11
data "old"

# L2: a shared lease is none to write.
write addr=0x500000001000 data=new token=5
free addr=0x500000001000 token=5
----
fenced: WRITE at 0x500000001000 was asked under the lease with token 5, which is over, or is not one to write the page at 0x500000001000; nothing was done, take the lease anew index 12
fenced: FREE at 0x500000001000 was asked under the lease with token 5, which is over, or is not one to write the 3 pages at 0x500000001000; nothing was done, take the lease anew index 13

# L1: a node asks for less than it has, or past it; another in the way; then the first two go.
lease addr=0x500000001000 size=10 node=1 session=7 length=1000
lease addr=0x500000001000 size=5000 node=2 session=7 length=1000
lease addr=0x500000001000 node=1 session=7 length=1 mode=w
release token=6 node=1
release token=6 node=2
expire token=7 decided=0
expire token=7
lease addr=0x500000001000 node=1 session=7 length=1 mode=w
leases
----
invalid_argument: node 1 has a lease already, with token 5, on the 3 pages at 0x500000001000; what was asked for, the page at 0x500000001000, meets it and does not cover it: give it back first, or ask for all of it index 14
invalid_argument: node 2 has a lease already, with token 6, on the 2 pages at 0x500000002000; what was asked for, the 2 pages at 0x500000001000, meets it and does not cover it: give it back first, or ask for all of it index 15
leased: LEASE of the 3 pages at 0x500000001000 meets the lease of node 2 with token 6, and 1 more; nothing was done, have it given back or wait for its end 0x500000001000 size 12288 index 16
data "[{\"company\":1,\"address\":\"0x500000002000\",\"size\":8192,\"mode\":\"r\",\"token\":6,\"holder\":2,\"session\":7,\"length_ms\":1000,\"ms_left\":0},{\"company\":1,\"address\":\"0x500000002000\",\"size\":4096,\"mode\":\"r\",\"token\":7,\"holder\":3,\"session\":7,\"length_ms\":1000,\"ms_left\":0}]"
invalid_argument: the lease with token 6 is of node 2; node 1 cannot give it back index 17
ok 0x500000002000 size 8192 value 1 token 6 index 18
lease {Lease:{First:2 Pages:2 Exclusive:false WriteBack:false Node:2 Session:7 Token:6 Length:1000} Ended:true Message:0}
log 18: S1 release 0x500000002000 8192
ok 0x500000002000 size 4096 value 1 token 7 index 19
lease {Lease:{First:2 Pages:1 Exclusive:false WriteBack:false Node:3 Session:7 Token:7 Length:1000} Ended:true Message:0}
log 19: S1 expire 0x500000002000 4096
ok token 7 index 20
ok 0x500000001000 size 12288 token 21 length 1000 index 21
lease {Lease:{First:1 Pages:3 Exclusive:false WriteBack:false Node:1 Session:7 Token:5 Length:1000} Ended:true Message:0}
lease {Lease:{First:1 Pages:3 Exclusive:true WriteBack:false Node:1 Session:7 Token:21 Length:1000} Ended:false Message:0}
log 21: S1 lease 0x500000001000 12288
ok size 1 index 21
data "[{\"company\":1,\"address\":\"0x500000001000\",\"size\":12288,\"mode\":\"w\",\"token\":21,\"holder\":1,\"session\":7,\"length_ms\":1000,\"ms_left\":0}]"

# L2: the old token is over; the new one writes its pages and no others.
write addr=0x500000001000 data=new token=5
write addr=0x500000001000 data=new token=21
write addr=0x500000004000 data=new token=21
add addr=0x500000001008 value=1 token=21
write addr=0x500000001000 data=other
read addr=0x500000001000 size=3
----
fenced: WRITE at 0x500000001000 was asked under the lease with token 5, which is over, or is not one to write the page at 0x500000001000; nothing was done, take the lease anew index 22
ok 0x500000001000 size 3 index 23
log 23: S1 write 0x500000001000 3
fenced: WRITE at 0x500000004000 was asked under the lease with token 21, which is over, or is not one to write the page at 0x500000004000; nothing was done, take the lease anew index 24
ok 0x500000001008 size 1 index 25
log 25: S1 add 0x500000001008 8
leased: WRITE of the page at 0x500000001000 meets the lease of node 1 with token 21; nothing was done, have it given back or wait for its end 0x500000001000 size 4096 index 26
data "[{\"company\":1,\"address\":\"0x500000001000\",\"size\":12288,\"mode\":\"w\",\"token\":21,\"holder\":1,\"session\":7,\"length_ms\":1000,\"ms_left\":0}]"
ok 0x500000001000 size 3 index 26
data "new"

# L5: refused for a lease, the same request is done when it is over.
write addr=0x500000001000 data=late client=1 seq=1
release token=21
write addr=0x500000001000 data=late client=1 seq=1
write addr=0x500000001000 data=late client=1 seq=1
----
leased: WRITE of the page at 0x500000001000 meets the lease of node 1 with token 21; nothing was done, have it given back or wait for its end 0x500000001000 size 4096 index 27
data "[{\"company\":1,\"address\":\"0x500000001000\",\"size\":12288,\"mode\":\"w\",\"token\":21,\"holder\":1,\"session\":7,\"length_ms\":1000,\"ms_left\":0}]"
ok 0x500000001000 size 12288 value 1 token 21 index 28
lease {Lease:{First:1 Pages:3 Exclusive:true WriteBack:false Node:1 Session:7 Token:21 Length:1000} Ended:true Message:0}
log 28: S1 release 0x500000001000 12288
ok 0x500000001000 size 4 index 29
log 29: S1 write 0x500000001000 4
ok 0x500000001000 size 4 index 29

# L6: write-back. Its holder reads, others do not. L1: it is not made less.
lease addr=0x500000001000 node=1 session=7 mode=wb client=1 seq=2
lease addr=0x500000001000 node=1 session=7 mode=wb client=1 seq=2
read addr=0x500000001000 size=4
read addr=0x500000001000 size=4 token=31
read addr=0x500000004000 size=4
lease addr=0x500000001000 node=1 session=7 mode=w
lease addr=0x500000001000 node=1 session=7
----
ok 0x500000001000 size 12288 token 31 length 10000 index 31
lease {Lease:{First:1 Pages:3 Exclusive:true WriteBack:true Node:1 Session:7 Token:31 Length:10000} Ended:false Message:0}
log 31: S1 lease 0x500000001000 12288
ok 0x500000001000 size 12288 token 31 length 10000 index 31
leased: READ of the page at 0x500000001000 meets the lease of node 1 with token 31; nothing was done, have it given back or wait for its end 0x500000001000 size 4096 index 32
data "[{\"company\":1,\"address\":\"0x500000001000\",\"size\":12288,\"mode\":\"w\",\"token\":31,\"holder\":1,\"session\":7,\"length_ms\":10000,\"ms_left\":0,\"write_back\":true}]"
ok 0x500000001000 size 4 index 32
data "late"
ok 0x500000004000 size 4 index 32
data "\x00\x00\x00\x00"
invalid_argument: node 1 has a lease with token 31 on the 3 pages at 0x500000001000, under which it may do more than under the one asked for; give it back first index 33
invalid_argument: node 1 has a lease with token 31 on the 3 pages at 0x500000001000, under which it may do more than under the one asked for; give it back first index 34

# A newer session ends those before it, and is not ended by them.
lease addr=0x500000004000 node=1 session=8
lease addr=0x500000004000 node=1 session=7
read addr=0x500000001000 size=4
----
ok 0x500000004000 size 4096 token 35 length 10000 index 35
lease {Lease:{First:1 Pages:3 Exclusive:true WriteBack:true Node:1 Session:7 Token:31 Length:10000} Ended:true Message:0}
lease {Lease:{First:4 Pages:1 Exclusive:false WriteBack:false Node:1 Session:8 Token:35 Length:10000} Ended:false Message:0}
log 35: S1 lease 0x500000004000 4096
fenced: session 7 of node 1 is over: session 8 holds the lease with token 35; nothing was done index 36
ok 0x500000001000 size 4 index 36
data "late"

# L4: the term.
term term=5
lease addr=0x500000004010 node=2 session=1 decided=4
lease addr=0x500000004010 node=2 session=1 decided=5
expire token=35 decided=4
expire token=35 decided=5
expire token=35 decided=5
reload
print
----
ok value 5 index 37
term 5 of node 4
log 37: S1 lead 0x0 0
fenced: LEASE was decided by the leader of term 4, but node 4 leads company 1 in term 5; nothing was done, ask it index 38
ok 0x500000004000 size 4096 token 39 length 10000 index 39
lease {Lease:{First:4 Pages:1 Exclusive:false WriteBack:false Node:2 Session:1 Token:39 Length:10000} Ended:false Message:0}
log 39: S1 lease 0x500000004000 4096
fenced: EXPIRE was decided by the leader of term 4, but node 4 leads company 1 in term 5; nothing was done, ask it index 40
ok 0x500000004000 size 4096 value 1 token 35 index 41
lease {Lease:{First:4 Pages:1 Exclusive:false WriteBack:false Node:1 Session:8 Token:35 Length:10000} Ended:true Message:0}
log 41: S1 expire 0x500000004000 4096
ok token 35 index 42
company 1 from 0x500000000000 to 0x501000000000: used 9032, charged 12320 of 1048576, room 1032192, allocations 3
index 42, clock 42 ms, node 4 leads in term 5 since index 37
  0x500000001000 allocated 9000
  0x500000004000 allocated 16
  0x500000004010 allocated 16
free: window 0x500000001000 to 0x501000000000, free 68719460320, high 0x500000004020
  0x500000004020+68719460320
client 01000000000000000000000000000000 heard at 32, low 0: 1=ok 2=ok
leases 1, last token 39
  0x500000004000 4096 r token 39 of node 2 in session 1 for 10000 ms, write-back false
pages 4096 bytes, sum 2d8aa0aa

# Small neighbours share a page, and its lease; what is freed under the token is free.
free addr=0x500000004000
release node=2 session=1
free addr=0x500000004000
lease addr=0x500000004010 node=2 session=1 mode=w decided=5
free addr=0x500000004010 token=46
lease addr=0x500000004010 node=3 session=1 decided=5
malloc size=16
write addr=0x500000004000 data=x
release node=2 session=1
write addr=0x500000004000 data=x
----
leased: FREE of the page at 0x500000004000 meets the lease of node 2 with token 39; nothing was done, have it given back or wait for its end 0x500000004000 size 4096 index 43
data "[{\"company\":1,\"address\":\"0x500000004000\",\"size\":4096,\"mode\":\"r\",\"token\":39,\"holder\":2,\"session\":1,\"length_ms\":10000,\"ms_left\":0}]"
ok value 1 index 44
lease {Lease:{First:4 Pages:1 Exclusive:false WriteBack:false Node:2 Session:1 Token:39 Length:10000} Ended:true Message:0}
log 44: S1 release 0x500000004000 4096
ok 0x500000004000 size 16 index 45
changed 0x500000004000
log 45: S1 free 0x500000004000 16
ok 0x500000004000 size 4096 token 46 length 10000 index 46
lease {Lease:{First:4 Pages:1 Exclusive:true WriteBack:false Node:2 Session:1 Token:46 Length:10000} Ended:false Message:0}
log 46: S1 lease 0x500000004000 4096
ok 0x500000004010 size 16 index 47
changed 0x500000004010
log 47: S1 free 0x500000004010 16
not_allocated: 0x500000004010 is in no allocation; the allocation before it is 9000 bytes at 0x500000001000 index 48
ok 0x500000004000 size 16 index 49
block 0x500000004000 size 16 in company 1 behind 0x500000004000
changed 0x500000004000
log 49: S1 allocate 0x500000004000 16
leased: WRITE of the page at 0x500000004000 meets the lease of node 2 with token 46; nothing was done, have it given back or wait for its end 0x500000004000 size 4096 index 50
data "[{\"company\":1,\"address\":\"0x500000004000\",\"size\":4096,\"mode\":\"w\",\"token\":46,\"holder\":2,\"session\":1,\"length_ms\":10000,\"ms_left\":0}]"
ok value 1 index 51
lease {Lease:{First:4 Pages:1 Exclusive:true WriteBack:false Node:2 Session:1 Token:46 Length:10000} Ended:true Message:0}
log 51: S1 release 0x500000004000 4096
ok 0x500000004000 size 1 index 52
log 52: S1 write 0x500000004000 1

# What cannot be.
precheck lease addr=0x500000001000 node=1 session=0
precheck lease addr=0x500000001000 session=1
precheck lease addr=0x500000001000 node=1 session=1 length=30001
precheck lease addr=0x500000001000 node=1 session=1 mode=b
precheck lease addr=0x1000 node=1 session=1
precheck release node=1
precheck release session=1
precheck release token=1
precheck expire
lease addr=0x500000001000 size=9001 node=1 session=1 decided=5
lease addr=0x500000005000 node=1 session=1 decided=5
----
invalid_argument: a lease at 0x500000001000 for node 1 in session 0: only a node can hold one, in the session that it is in index 0
invalid_argument: a lease at 0x500000001000 for node client in session 1: only a node can hold one, in the session that it is in index 0
invalid_argument: a lease of 30001 ms at 0x500000001000; at most 30000 are possible index 0
invalid_argument: a lease at 0x500000001000 to read with write-back; ask for one to write index 0
not_allocated: 0x1000 is in no allocation: those of company 1 lie from 0x500000001000 to 0x500fffffffff; list them with t index 0
invalid_argument: RELEASE names no lease: say its token, or a node and its session for all of them index 0
invalid_argument: RELEASE names no lease: say its token, or a node and its session for all of them index 0
may go on
invalid_argument: EXPIRE names no lease: say its token index 0
out_of_bounds: 9001 bytes at 0x500000001000 were asked for; the allocation has 9000 bytes at 0x500000001000, 9000 of them from there on index 53
not_allocated: 0x500000005000 is in no allocation; the allocation before it is 16 bytes at 0x500000004000 index 54

# Parts of an allocation over several companies: leased in the name of their transaction, given back when nobody has a lease.
reserve in=2 txn=9 size=100 value=1
reserve in=2 txn=8 size=100 value=1
lease in=2 addr=0x501000001000 part=9 node=1 session=1
commit txn=9 size=4196 value=4096 block=2:100:0x501000001000
confirm in=2 txn=9 addr=0x500000005000
lease in=2 addr=0x501000001000 node=1 session=1
lease in=2 addr=0x501000001000 part=9 node=1 session=1
lease addr=0x500000005000 node=1 session=1 decided=5
lease addr=0x500000005000 size=4097 node=1 session=1 decided=5
abort in=2 txn=8
drop in=2 txn=9
free addr=0x500000005000
release node=1 session=1
release in=2 node=1 session=1
free addr=0x500000005000
lease addr=0x500000005000 node=1 session=1 decided=5
abort in=2 txn=8
drop in=2 txn=9
finish txn=9 addr=0x500000005000
----
ok 0x501000001000 size 100 txn ab000000/9 index 1
changed 0x501000001000
log 1: S1 reserve 0x501000001000 100
ok 0x501000001070 size 100 txn ab000000/8 index 2
changed 0x501000001070
log 2: S1 reserve 0x501000001070 100
retry: 0x501000001000 is reserved for transaction ab000000/9, which is not confirmed yet; try again index 3
ok 0x500000005000 size 4196 txn ab000000/9 index 55
block 0x500000005000 size 4096 in company 1 behind 0x500000005000
block 0x500000006000 size 100 in company 2 behind 0x501000001000
changed 0x500000005000
log 55: S1 commit 0x500000005000 4196
ok 0x501000001000 size 100 txn ab000000/9 index 4
changed 0x501000001000
log 4: S1 confirm 0x501000001000 100
not_allocated: 0x501000001000 is in no allocation; allocate first, or list the allocations with t index 5
ok 0x501000001000 size 4096 token 6 length 10000 index 6
lease {Lease:{First:1 Pages:1 Exclusive:false WriteBack:false Node:1 Session:1 Token:6 Length:10000} Ended:false Message:0}
log 6: S1 lease 0x501000001000 4096
ok 0x500000005000 size 4096 token 56 length 10000 index 56
lease {Lease:{First:5 Pages:1 Exclusive:false WriteBack:false Node:1 Session:1 Token:56 Length:10000} Ended:false Message:0}
log 56: S1 lease 0x500000005000 4096
elsewhere: of the allocation at 0x500000005000 company 1 has the first 4096 bytes; 4097 bytes at 0x500000005000 lie behind the other blocks 0x500000005000 size 4196 txn ab000000/9 index 57
block 0x500000005000 size 4096 in company 1 behind 0x500000005000
block 0x500000006000 size 100 in company 2 behind 0x501000001000
leased: ABORT of the page at 0x501000001000 meets the lease of node 1 with token 6; nothing was done, have it given back or wait for its end 0x501000001000 size 4096 index 7
data "[{\"company\":2,\"address\":\"0x501000001000\",\"size\":4096,\"mode\":\"r\",\"token\":6,\"holder\":1,\"session\":1,\"length_ms\":10000,\"ms_left\":0}]"
leased: DROP of the page at 0x501000001000 meets the lease of node 1 with token 6; nothing was done, have it given back or wait for its end 0x501000001000 size 4096 index 8
data "[{\"company\":2,\"address\":\"0x501000001000\",\"size\":4096,\"mode\":\"r\",\"token\":6,\"holder\":1,\"session\":1,\"length_ms\":10000,\"ms_left\":0}]"
leased: FREE of the page at 0x500000005000 meets the lease of node 1 with token 56; nothing was done, have it given back or wait for its end 0x500000005000 size 4096 index 58
data "[{\"company\":1,\"address\":\"0x500000005000\",\"size\":4096,\"mode\":\"r\",\"token\":56,\"holder\":1,\"session\":1,\"length_ms\":10000,\"ms_left\":0}]"
ok value 1 index 59
lease {Lease:{First:5 Pages:1 Exclusive:false WriteBack:false Node:1 Session:1 Token:56 Length:10000} Ended:true Message:0}
log 59: S1 release 0x500000005000 4096
ok value 1 index 9
lease {Lease:{First:1 Pages:1 Exclusive:false WriteBack:false Node:1 Session:1 Token:6 Length:10000} Ended:true Message:0}
log 9: S1 release 0x501000001000 4096
ok 0x500000005000 size 4196 txn ab000000/9 index 60
block 0x500000005000 size 4096 in company 1 behind 0x500000005000
block 0x500000006000 size 100 in company 2 behind 0x501000001000
changed 0x500000005000
log 60: S1 free 0x500000005000 4196
not_allocated: 0x500000005000 is in the allocation at 0x500000005000, which has been freed index 61
ok 0x501000001070 size 100 txn ab000000/8 index 10
changed 0x501000001070
log 10: S1 abort 0x501000001070 100
ok 0x501000001000 size 100 txn ab000000/9 index 11
changed 0x501000001000
log 11: S1 drop 0x501000001000 100
ok 0x500000005000 size 4196 txn ab000000/9 index 62
changed 0x500000005000
log 62: S1 finish 0x500000005000 4196

# L5: fenced for its term, the same request is done when the leader of this term decides.
lease addr=0x500000001000 node=1 session=9 client=1 seq=3 decided=4
lease addr=0x500000001000 node=1 session=9 client=1 seq=3 decided=5
lease addr=0x500000001000 node=1 session=9 client=1 seq=3 decided=4
----
fenced: LEASE was decided by the leader of term 4, but node 4 leads company 1 in term 5; nothing was done, ask it index 63
ok 0x500000001000 size 12288 token 64 length 10000 index 64
lease {Lease:{First:1 Pages:3 Exclusive:false WriteBack:false Node:1 Session:9 Token:64 Length:10000} Ended:false Message:0}
log 64: S1 lease 0x500000001000 12288
ok 0x500000001000 size 12288 token 64 length 10000 index 64

