package job

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"sync"

	"dmalloc/message"

	"github.com/tetratelabs/wazero"
)

const (
	maxCached      = 16        // modules kept compiled
	maxCachedBytes = 256 << 20 // of memory that they are thought to take
	costFactor     = 16        // bytes of memory that a byte of a module is thought to take; measured with programs in Go
)

// cache keeps modules compiled, by the hash of their bytes. Beyond its bounds the one that was used
// least recently goes; one that is in use stays until its jobs end.
type cache struct {
	config   wazero.RuntimeConfig
	limit    uint64        // bytes of memory of a job
	most     int           // modules that wait to be compiled, or are
	compiler chan struct{} // held by the one that compiles: it takes a whole core

	mu        sync.Mutex
	entries   map[string]*entry
	clock     uint64 // grows with each use
	compiling int
	closed    bool
	done      sync.WaitGroup // of those that compile
}

// entry is a module that is compiled, or will be when ready is closed. Then c or err is set.
type entry struct {
	ready chan struct{}
	c     *compiled
	err   error
	refs  int    // those that use it or wait for it
	used  uint64 // when it was last asked for, by the cache's clock
}

func newCache(config wazero.RuntimeConfig, limit uint64, most int) *cache {
	return &cache{config: config, limit: limit, most: most, compiler: make(chan struct{}, 1), entries: make(map[string]*entry)}
}

// get is the module, compiled, until release is called. It waits for a compilation, which goes on if ctx
// ends: it cannot be stopped, and whoever asks next will need it.
func (c *cache) get(ctx context.Context, hash string, module []byte) (m *compiled, release func(), err error) {
	e, err := c.entry(hash, module)
	if err != nil {
		return nil, nil, err
	}
	release = func() { c.release(e) }
	select {
	case <-e.ready:
	case <-ctx.Done():
		release()
		if err := context.Cause(ctx); !errors.Is(err, context.DeadlineExceeded) {
			return nil, nil, err
		}
		return nil, nil, message.Errorf(message.Timeout, "its module is still being compiled, which is done once a node; ask again soon")
	}
	if e.err != nil {
		release()
		return nil, nil, e.err
	}
	return e.c, release, nil
}

// entry finds or begins it, and takes a reference.
func (c *cache) entry(hash string, module []byte) (*entry, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clock++
	e := c.entries[hash]
	if e == nil {
		if c.closed {
			return nil, closing()
		}
		if c.compiling >= c.most {
			return nil, message.Errorf(message.Busy, "%d modules are being compiled here; try again, or another node", c.compiling)
		}
		if sum := sha256.Sum256(module); hex.EncodeToString(sum[:]) != hash {
			return nil, message.Errorf(message.Corrupt, "the module's bytes do not have the hash %s that it is known by; put it again", message.Quote(hash))
		}
		e = &entry{ready: make(chan struct{})}
		c.entries[hash] = e
		c.compiling++
		c.done.Go(func() { c.compile(e, hash, module) })
	}
	e.refs++
	e.used = c.clock
	return e, nil
}

func (c *cache) compile(e *entry, hash string, module []byte) {
	c.compiler <- struct{}{}
	m, err := compile(module, c.config, c.limit)
	<-c.compiler
	c.mu.Lock()
	defer c.mu.Unlock()
	c.compiling--
	e.c, e.err = m, err
	if err != nil {
		e.c = nil
		delete(c.entries, hash)
	}
	close(e.ready)
	c.shrink()
}

func (c *cache) release(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.refs--
	c.shrink()
}

// shrink closes what is over the bounds and in nobody's use. The mutex is held.
func (c *cache) shrink() {
	for {
		count, bytes, oldest := 0, 0, ""
		for hash, e := range c.entries {
			if e.c == nil {
				continue
			}
			count++
			bytes += e.c.cost
			if e.refs == 0 && (oldest == "" || e.used < c.entries[oldest].used) {
				oldest = hash
			}
		}
		if oldest == "" || count <= maxCached && bytes <= maxCachedBytes && !c.closed {
			return
		}
		c.entries[oldest].c.close()
		delete(c.entries, oldest)
	}
}

// close waits for compilations and closes every module. No job may run any more.
func (c *cache) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.done.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shrink()
}
