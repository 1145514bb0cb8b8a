package repl

import "sync"

// spreadOver is how many parts of a long transfer between a file and the heap are on their way at once. With one, the
// heap would rest while the file is read or written, and at the end of each part while its last message is answered.
const spreadOver = 2

// spread has do move size bytes part by part, a few parts beside each other and in no order. It returns when all that
// were begun have ended. An error is that of the first part, by place, that failed: all before it has been moved.
func spread(size uint64, do func(at uint64, p []byte) error) error {
	var (
		mu     sync.Mutex // guards what follows
		next   uint64
		failed error
		from   uint64 // where it did
	)
	begin := func() (at, n uint64) {
		mu.Lock()
		defer mu.Unlock()
		if failed != nil {
			return size, 0
		}
		at, n = next, min(size-next, relayed)
		next += n
		return at, n
	}
	end := func(at uint64, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil && (failed == nil || at < from) {
			failed, from = err, at
		}
	}
	var movers sync.WaitGroup
	for range min(spreadOver, (size+relayed-1)/relayed) {
		movers.Go(func() {
			p := make([]byte, min(size, relayed))
			for {
				at, n := begin()
				if n == 0 {
					return
				}
				end(at, do(at, p[:n]))
			}
		})
	}
	movers.Wait()
	return failed
}
