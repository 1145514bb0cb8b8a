# Requested sizes count for users, footprints for the budget.
malloc size=100
malloc size=5000
malloc size=1
malloc size=0
malloc size=2097152
----
ok 0x500000001000 size 100 index 1
block 0x500000001000 size 100 in company 1 behind 0x500000001000
changed 0x500000001000
log 1: S1 allocate 0x500000001000 100
ok 0x500000002000 size 5000 index 2
block 0x500000002000 size 5000 in company 1 behind 0x500000002000
changed 0x500000002000
log 2: S1 allocate 0x500000002000 5000
ok 0x500000001070 size 1 index 3
block 0x500000001070 size 1 in company 1 behind 0x500000001070
changed 0x500000001070
log 3: S1 allocate 0x500000001070 1
invalid_argument: 0 bytes cannot be allocated; ask for at least 1 index 4
out_of_memory: an allocation of 2MiB was asked for, company 1 has room for 1012KiB; free something, or ask a company with more room value 1036288 index 5

table
----
ok size 3 index 5
data "[{\"address\":\"0x500000001000\",\"size\":100,\"state\":\"allocated\",\"blocks\":[{\"address\":\"0x500000001000\",\"size\":100,\"company\":1,\"nodes\":null}]},{\"address\":\"0x500000001070\",\"size\":1,\"state\":\"allocated\",\"blocks\":[{\"address\":\"0x500000001070\",\"size\":1,\"company\":1,\"nodes\":null}]},{\"address\":\"0x500000002000\",\"size\":5000,\"state\":\"allocated\",\"blocks\":[{\"address\":\"0x500000002000\",\"size\":5000,\"company\":1,\"nodes\":null}]}]"

write addr=0x500000001000 data=hello
read addr=0x500000001000 size=8
----
ok 0x500000001000 size 5 index 6
log 6: S1 write 0x500000001000 5
ok 0x500000001000 size 8 index 6
data "hello\x00\x00\x00"

# The end of a block, behind its end, and outside of everything.
write addr=0x500000001062 data=ab
write addr=0x500000001063 data=ab
write addr=0x500000001064 data=a
write addr=0x500000000000 data=a
write addr=0x500000900000 data=a
write addr=0x501000001000 data=a
read addr=0x500000001000 size=101
read addr=0x500000001000 size=0
read addr=0x500000001000 size=1048577
----
ok 0x500000001062 size 2 index 7
log 7: S1 write 0x500000001062 2
out_of_bounds: 2 bytes at 0x500000001063 were asked for; the allocation has 100 bytes at 0x500000001000, 1 of them from there on index 8
not_allocated: 0x500000001064 is in no allocation; the allocation before it is 100 bytes at 0x500000001000 index 9
not_allocated: 0x500000000000 is in no allocation: those of company 1 lie from 0x500000001000 to 0x500fffffffff; list them with t index 10
not_allocated: 0x500000900000 is in no allocation; the allocation before it is 5000 bytes at 0x500000002000 index 11
not_allocated: 0x501000001000 is in no allocation: those of company 1 lie from 0x500000001000 to 0x500fffffffff; list them with t index 12
out_of_bounds: 101 bytes at 0x500000001000 were asked for; the allocation has 100 bytes at 0x500000001000, 100 of them from there on index 12
invalid_argument: a read of 0 bytes at 0x500000001000; read 1 to 1048576 at once index 0
invalid_argument: a read of 1048577 bytes at 0x500000001000; read 1 to 1048576 at once index 0

cas addr=0x500000002000 size=0 value=7
cas addr=0x500000002000 size=0 value=8
add addr=0x500000002000 value=5
add addr=0x500000002000 value=0xffffffffffffffff
read addr=0x500000002000 size=8
cas addr=0x500000002004 size=0 value=8
add addr=0x500000001060 value=1
----
ok 0x500000002000 size 1 index 13
log 13: S1 cas 0x500000002000 8
ok 0x500000002000 value 7 index 14
ok 0x500000002000 size 1 value 7 index 15
log 15: S1 add 0x500000002000 8
ok 0x500000002000 size 1 value 12 index 16
log 16: S1 add 0x500000002000 8
ok 0x500000002000 size 8 index 16
data "\v\x00\x00\x00\x00\x00\x00\x00"
invalid_argument: CAS works on the 8 bytes at an address that is a multiple of 8; 0x500000002004 is none index 17
out_of_bounds: 8 bytes at 0x500000001060 were asked for; the allocation has 100 bytes at 0x500000001000, 4 of them from there on index 18

dump addr=0x500000003000
dump addr=0x500000004000
----
ok 0x500000002000 size 5000 index 18
block 0x500000002000 size 5000 in company 1 behind 0x500000002000
not_allocated: 0x500000004000 is in no allocation; the allocation before it is 5000 bytes at 0x500000002000 index 18

# Free: the first address only; once; and what was never there.
free addr=0x500000001001
free addr=0x500000001064
free addr=0x500000001000
free addr=0x500000001000
free addr=0x500000001008
free addr=0x500000000000
free addr=0x500000100000
free addr=0x501000001000
----
invalid_argument: 0x500000001001 is inside the allocation of 100 bytes that starts at 0x500000001000; free that address index 19
not_allocated: 0x500000001064 is in no allocation; the allocation before it is 100 bytes at 0x500000001000 index 20
ok 0x500000001000 size 100 index 21
changed 0x500000001000
log 21: S1 free 0x500000001000 100
already_free: 0x500000001000 is free already; nothing was done index 22
already_free: 0x500000001008 is free already; nothing was done index 23
not_allocated: 0x500000000000 is in no allocation: those of company 1 lie from 0x500000001000 to 0x500fffffffff; list them with t index 24
not_allocated: 0x500000100000 was never allocated; list the allocations with t index 25
not_allocated: 0x501000001000 is in no allocation: those of company 1 lie from 0x500000001000 to 0x500fffffffff; list them with t index 26

# Freed memory is zero for whom it is given next.
malloc size=80
read addr=0x500000001000 size=8
table addr=0x500000001001 value=1
----
ok 0x500000001000 size 80 index 27
block 0x500000001000 size 80 in company 1 behind 0x500000001000
changed 0x500000001000
log 27: S1 allocate 0x500000001000 80
ok 0x500000001000 size 8 index 27
data "\x00\x00\x00\x00\x00\x00\x00\x00"
ok size 1 value 87960930230272 index 27
data "[{\"address\":\"0x500000001070\",\"size\":1,\"state\":\"allocated\",\"blocks\":[{\"address\":\"0x500000001070\",\"size\":1,\"company\":1,\"nodes\":null}]}]"

term term=3
term term=2
read addr=0x500000002000 size=8
lease
----
ok value 3 index 28
term 3 of node 4
log 28: S1 lead 0x0 0
ok value 3 index 29
ok 0x500000002000 size 8 index 29
data "\v\x00\x00\x00\x00\x00\x00\x00"
invalid_argument: a lease at 0x0 for node client in session 0: only a node can hold one, in the session that it is in index 30

precheck write addr=0x500000900000 data=a
precheck free addr=0x501000001000
----
may go on
not_allocated: 0x501000001000 is in no allocation: those of company 1 lie from 0x500000001000 to 0x500fffffffff; list them with t index 0

reload
print
----
company 1 from 0x500000000000 to 0x501000000000: used 5081, charged 8288 of 1048576, room 1036288, allocations 3
index 30, clock 30 ms, node 4 leads in term 3 since index 28
  0x500000001000 allocated 80
  0x500000001070 allocated 1
  0x500000002000 allocated 5000
free: window 0x500000001000 to 0x501000000000, free 68719464352, high 0x500000004000
  0x500000001050+32
  0x500000001080+3968
  0x500000004000+68719460352
pages 4096 bytes, sum 2a8e0045

