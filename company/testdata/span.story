# 3 pages and a bit over three companies, the home is company 1.
reserve in=2 txn=9 size=4096 value=1
reserve in=2 txn=9 size=4096 value=1
reserve in=2 txn=9 size=8192 value=1
reserve in=3 txn=9 size=100 value=1
pending in=2
----
ok 0x501000001000 size 4096 txn ab000000/9 index 1
changed 0x501000001000
log 1: S1 reserve 0x501000001000 4096
ok 0x501000001000 size 4096 txn ab000000/9 index 2
invalid_argument: transaction ab000000/9 has 4096 bytes of home 1 at 0x501000001000 already; it cannot reserve 8192 of home 1, a company holds one extent of a transaction index 3
ok 0x502000001000 size 100 txn ab000000/9 index 1
changed 0x502000001000
log 1: S1 reserve 0x502000001000 100
ab000000/9 reserved at 0x501000001000, home 0x0 in company 1, 0 blocks

write in=2 part=9 addr=0x501000001000 data=early
----
retry: 0x501000001000 is reserved for transaction ab000000/9, which is not confirmed yet; try again index 4

commit txn=9 size=8292 value=4096 block=2:4096:0x501000001000 block=3:100:0x502000001000
----
ok 0x500000001000 size 8292 txn ab000000/9 index 1
block 0x500000001000 size 4096 in company 1 behind 0x500000001000
block 0x500000002000 size 4096 in company 2 behind 0x501000001000
block 0x500000003000 size 100 in company 3 behind 0x502000001000
changed 0x500000001000
log 1: S1 commit 0x500000001000 8292

commit txn=9 size=8292 value=4096 block=2:4096:0x501000001000 block=3:100:0x502000001000
----
ok 0x500000001000 size 8292 txn ab000000/9 index 2
block 0x500000001000 size 4096 in company 1 behind 0x500000001000
block 0x500000002000 size 4096 in company 2 behind 0x501000001000
block 0x500000003000 size 100 in company 3 behind 0x502000001000

commit txn=8 size=8292 value=4095 block=2:4096:0x501000001000
commit txn=8 size=8292 value=4096 block=2:4096:0x501000001000
commit txn=8 size=8192 value=4096 block=1:4096:0x501000001000
commit txn=8 size=8192 value=4096
commit in=2 txn=9 size=8192 value=4096 block=1:4096:0x501000001000
----
invalid_argument: transaction ab000000/8 has a home block of 4095 bytes; it takes whole pages of 4096 index 3
invalid_argument: transaction ab000000/8 allocates 8292 bytes but its blocks hold 8192 index 4
invalid_argument: transaction ab000000/8 has block 1 in company 1; each block takes a company of its own, 1 to 64 index 5
invalid_argument: transaction ab000000/8 names 0 blocks besides the home's; 1 to 255 are possible index 6
invalid_argument: company 2 holds a part of transaction ab000000/9 and cannot be its home index 5

confirm in=2 txn=9 addr=0x500000001000
confirm in=2 txn=9 addr=0x500000001000
confirm in=3 txn=9 addr=0x500000001000
confirm in=3 txn=8 addr=0x500000001000
outcome txn=9
pending in=2
----
ok 0x501000001000 size 4096 txn ab000000/9 index 6
changed 0x501000001000
log 6: S1 confirm 0x501000001000 4096
ok 0x501000001000 size 4096 txn ab000000/9 index 7
ok 0x502000001000 size 100 txn ab000000/9 index 2
changed 0x502000001000
log 2: S1 confirm 0x502000001000 100
not_allocated: company 3 holds no reservation of transaction ab000000/8; it was given back or never made index 3
ok 0x500000001000 size 8292 value 1 txn ab000000/9 index 7
block 0x500000001000 size 4096 in company 1 behind 0x500000001000
block 0x500000002000 size 4096 in company 2 behind 0x501000001000
block 0x500000003000 size 100 in company 3 behind 0x502000001000

# Kept and read back, it goes on as before.
reload
reload in=2
reload in=3
outcome txn=9
----
ok 0x500000001000 size 8292 value 1 txn ab000000/9 index 8
block 0x500000001000 size 4096 in company 1 behind 0x500000001000
block 0x500000002000 size 4096 in company 2 behind 0x501000001000
block 0x500000003000 size 100 in company 3 behind 0x502000001000

# Bytes: the home's here, others behind.
write addr=0x500000001000 data=home
read addr=0x500000001000 size=4
----
ok 0x500000001000 size 4 index 9
log 9: S1 write 0x500000001000 4
ok 0x500000001000 size 4 index 9
data "home"

read addr=0x500000001fff size=2
----
elsewhere: of the allocation at 0x500000001000 company 1 has the first 4096 bytes; 2 bytes at 0x500000001fff lie behind the other blocks 0x500000001000 size 8292 txn ab000000/9 index 9
block 0x500000001000 size 4096 in company 1 behind 0x500000001000
block 0x500000002000 size 4096 in company 2 behind 0x501000001000
block 0x500000003000 size 100 in company 3 behind 0x502000001000

read addr=0x500000003063 size=2
write in=2 part=9 addr=0x501000001ffe data=ab
write in=2 part=9 addr=0x501000001fff data=ab
write in=2 part=8 addr=0x501000001ffe data=ab
write in=2 addr=0x501000001ffe data=ab
free in=2 addr=0x501000001000
----
out_of_bounds: 2 bytes at 0x500000003063 were asked for; the allocation has 8292 bytes at 0x500000001000, 1 of them from there on index 9
ok 0x501000001ffe size 2 index 8
log 8: S1 write 0x501000001ffe 2
out_of_bounds: 2 bytes at 0x501000001fff were asked for; the allocation has 4096 bytes at 0x501000001000, 1 of them from there on index 9
not_allocated: 0x501000001ffe is not behind a part of transaction ab000000/8; ask the home again where the bytes are index 10
not_allocated: 0x501000001ffe is in no allocation; allocate first, or list the allocations with t index 11
not_allocated: 0x501000001000 is in no allocation; allocate first, or list the allocations with t index 12

dump addr=0x500000003000
----
ok 0x500000001000 size 8292 txn ab000000/9 index 9
block 0x500000001000 size 4096 in company 1 behind 0x500000001000
block 0x500000002000 size 4096 in company 2 behind 0x501000001000
block 0x500000003000 size 100 in company 3 behind 0x502000001000

print
----
company 1 from 0x500000000000 to 0x501000000000: used 4096, charged 4096 of 1048576, room 1044480, allocations 1
index 9, clock 9 ms, node client leads in term 0 since index 0
  0x500000001000 allocated 8292 txn ab000000/9 home 0x500000001000 in company 1
    0x500000001000 4096 in company 1 behind 0x500000001000
    0x500000002000 4096 in company 2 behind 0x501000001000
    0x500000003000 100 in company 3 behind 0x502000001000
free: window 0x500000001000 to 0x501000000000, free 68719460352, high 0x500000004000
  0x500000004000+68719460352
pages 4096 bytes, sum dec6b644

# An aborted one: what comes late is refused.
reserve in=2 txn=10 size=4096 value=1
outcome txn=10
commit txn=10 size=8192 value=4096 block=2:4096:0x501000002000
abort in=2 txn=10
abort in=2 txn=10
reserve in=2 txn=10 size=4096 value=1
abort in=2 txn=9
----
ok 0x501000002000 size 4096 txn ab000000/10 index 13
changed 0x501000002000
log 13: S1 reserve 0x501000002000 4096
ok txn ab000000/10 index 10
log 10: S1 abort 0x0 0
aborted: transaction ab000000/10 is over here: it was aborted, or what it allocated was freed; nothing was done, begin a new one index 11
ok 0x501000002000 size 4096 txn ab000000/10 index 14
changed 0x501000002000
log 14: S1 abort 0x501000002000 4096
ok txn ab000000/10 index 15
aborted: transaction ab000000/10 is over here: it was aborted, or what it allocated was freed; nothing was done, begin a new one index 16
invalid_argument: transaction ab000000/9 is part here and cannot be aborted; free the allocation at 0x500000001000 index 17

# Free: the home first, then the parts, then the addresses.
finish txn=9 addr=0x500000001000
free addr=0x500000001000
----
invalid_argument: transaction ab000000/9 is allocated here for the allocation at 0x500000001000, not being freed at 0x500000001000; free it first index 12
ok 0x500000001000 size 8292 txn ab000000/9 index 13
block 0x500000001000 size 4096 in company 1 behind 0x500000001000
block 0x500000002000 size 4096 in company 2 behind 0x501000001000
block 0x500000003000 size 100 in company 3 behind 0x502000001000
changed 0x500000001000
log 13: S1 free 0x500000001000 8292

free addr=0x500000001000
write addr=0x500000001000 data=late
pending
----
ok 0x500000001000 size 8292 txn ab000000/9 index 14
block 0x500000001000 size 4096 in company 1 behind 0x500000001000
block 0x500000002000 size 4096 in company 2 behind 0x501000001000
block 0x500000003000 size 100 in company 3 behind 0x502000001000
not_allocated: 0x500000001000 is in the allocation at 0x500000001000, which has been freed index 15
ab000000/9 freeing at 0x500000001000, home 0x500000001000 in company 1, 3 blocks

reload
pending
drop in=2 txn=9
reload in=2
drop in=2 txn=9
drop in=3 txn=9
finish txn=9 addr=0x500000001000
finish txn=9 addr=0x500000001000
free addr=0x500000001000
commit txn=9 size=8292 value=4096 block=2:4096:0x501000001000 block=3:100:0x502000001000
reserve in=2 txn=9 size=4096 value=1
outcome txn=9
----
ab000000/9 freeing at 0x500000001000, home 0x500000001000 in company 1, 3 blocks
ok 0x501000001000 size 4096 txn ab000000/9 index 18
changed 0x501000001000
log 18: S1 drop 0x501000001000 4096
ok txn ab000000/9 index 19
ok 0x502000001000 size 100 txn ab000000/9 index 4
changed 0x502000001000
log 4: S1 drop 0x502000001000 100
ok 0x500000001000 size 8292 txn ab000000/9 index 16
changed 0x500000001000
log 16: S1 finish 0x500000001000 8292
ok txn ab000000/9 index 17
already_free: 0x500000001000 is free already; nothing was done index 18
aborted: transaction ab000000/9 is over here: it was aborted, or what it allocated was freed; nothing was done, begin a new one index 19
aborted: transaction ab000000/9 is over here: it was aborted, or what it allocated was freed; nothing was done, begin a new one index 20
ok txn ab000000/9 index 20

print
print in=2
----
company 1 from 0x500000000000 to 0x501000000000: used 0, charged 0 of 1048576, room 1048576, allocations 0
index 20, clock 20 ms, node client leads in term 0 since index 0
free: window 0x500000001000 to 0x501000000000, free 68719472640, high 0x500000004000
  0x500000001000+68719472640
ended ab000000/10 at 10
ended ab000000/9 at 16
pages 0 bytes, sum 00000000
company 2 from 0x501000000000 to 0x502000000000: used 0, charged 0 of 1048576, room 1048576, allocations 0
index 20, clock 20 ms, node client leads in term 0 since index 0
free: window 0x501000001000 to 0x502000000000, free 68719472640, high 0x501000003000
  0x501000001000+68719472640
ended ab000000/10 at 14
ended ab000000/9 at 18
pages 0 bytes, sum 00000000

