package owner

import (
	"io"
	"sync"
	"sync/atomic"

	sm "github.com/lni/dragonboat/v4/statemachine"

	"dmalloc/company"
	"dmalloc/directory"
	"dmalloc/message"
)

// Machine is what an owner replicates: a heap company, or the directory. ApplyTo is exclusive, Read and
// Status run beside each other, and a Snapshot is written while Apply goes on. Load runs beside Read and Status, for it
// takes long; what it has read becomes the state by install, which is exclusive and takes no time.
type Machine interface {
	ApplyTo(a *company.Applied, index uint64, b *message.Batch) // into a's memory; keeps nothing of a and b
	Read(m *message.Message) *message.Message
	Snapshot() io.WriterTo
	Load(r io.Reader) (install func(), err error)
	Index() uint64 // of the last entry that it holds
	Bytes() uint64 // roughly how much a snapshot would hold
}

// Heap is the Machine of a heap company.
type Heap struct {
	*company.Company
	cfg company.Config
}

func NewHeap(cfg company.Config) *Heap { return &Heap{company.New(cfg), cfg} }

// Seed is a snapshot with which another log begins.
func (h *Heap) Seed() io.WriterTo { return h.Company.Snapshot().Anew() }

func (h *Heap) Snapshot() io.WriterTo { return h.Company.Snapshot() }

func (h *Heap) Load(r io.Reader) (install func(), err error) {
	c, err := company.Load(r, h.cfg)
	return func() { h.Company = c }, err
}

func (h *Heap) Index() uint64 { return h.Company.Status().Index }

// Bytes counts the pages, and 40 bytes for each allocation.
func (h *Heap) Bytes() uint64 {
	s := h.Company.Status()
	return s.Resident + 40*s.Count
}

// Directory is the Machine of company 0.
type Directory struct{ *directory.State }

func NewDirectory(d *message.Directory) *Directory { return &Directory{directory.New(d)} }

func (d *Directory) Snapshot() io.WriterTo { return d.State.Snapshot() }

func (d *Directory) Load(r io.Reader) (install func(), err error) {
	s, err := directory.Load(r)
	return func() { d.State = s }, err
}

func (d *Directory) Bytes() uint64 { return 4096 }

func (d *Directory) ApplyTo(a *company.Applied, index uint64, b *message.Batch) {
	*a = d.Apply(index, b)
}

// Observer hears what happens to a company on this node. Its calls come from the goroutine that applies
// entries: it must note and return, not wait, and keep nothing of what it is shown.
type Observer interface {
	Applied(id message.CompanyID, a *company.Applied)
	Restored(id message.CompanyID) // the whole state was replaced
}

// machine joins a Machine to Dragonboat.
type machine struct {
	id     message.CompanyID
	origin uint64 // of the batches that are answered here
	// Of the company. The state is told of indexes as indexIn makes them; Raft's own are only in here.
	generation uint64
	observer   Observer
	outgrown   func() // the log has outgrown the state: ask for a snapshot; must not wait

	mu    sync.RWMutex // guards state: Apply and Load exclusively
	state Machine
	over  bool // the company has begun anew: nothing of this group is applied any more

	applied atomic.Uint64 // Raft's index of the last entry that state holds
	asked   atomic.Bool   // for a snapshot that has not ended
	saved   atomic.Int64  // when that ended last, in nanoseconds since 1970
	logged  atomic.Uint64 // bytes applied since the last snapshot
	entries atomic.Uint64 // applied since then
	recent  recent        // under mu
	saving  saving        // which snapshots are being written; under mu

	keep sums // for VERIFY

	batches message.BatchReader // Update's, of which there is one at a time
	did     company.Applied     // Update's, too

	waitMu  sync.Mutex
	waiting map[uint64]chan []company.Result // by batch number
}

var _ sm.IConcurrentStateMachine = (*machine)(nil)

// await makes the results of this node's batch of that number come to the channel.
func (c *machine) await(number uint64) chan []company.Result {
	ch := make(chan []company.Result, 1)
	c.waitMu.Lock()
	c.waiting[number] = ch
	c.waitMu.Unlock()
	return ch
}

func (c *machine) forget(number uint64) {
	c.waitMu.Lock()
	delete(c.waiting, number)
	c.waitMu.Unlock()
}

func (c *machine) deliver(number uint64, results []company.Result) {
	c.waitMu.Lock()
	ch := c.waiting[number]
	delete(c.waiting, number)
	c.waitMu.Unlock()
	if ch != nil {
		ch <- results // has room for the one
	}
}

// resultMemory is memory for the results of entries between their being applied and answered, as *[]company.Result.
var resultMemory sync.Pool

// own gives Update memory for the results of an entry of this node's: it will be the lane's.
func (c *machine) own() {
	if r, ok := resultMemory.Get().(*[]company.Result); ok {
		c.did.Results = *r
	} else {
		c.did.Results = nil
	}
}

// answered has the memory of results used again.
func answered(results []company.Result) {
	if n := cap(results); n > 0 && n <= mostResults {
		clear(results)
		resultMemory.Put(&results)
	}
}

const mostResults = 1024 // whose memory is used again

// Update applies committed entries. An entry that does not decode changes nothing, on every owner alike.
func (c *machine) Update(entries []sm.Entry) ([]sm.Entry, error) {
	for i := range entries {
		e := &entries[i]
		e.Result = sm.Result{Value: e.Index}
		b, err := c.batches.Read(e.Cmd)
		if err != nil {
			c.applied.Store(e.Index)
			continue
		}
		c.mu.Lock()
		if c.over {
			c.mu.Unlock()
			continue
		}
		index := indexIn(c.generation, e.Index)
		mine := b.Origin == c.origin
		if mine {
			c.own()
		}
		c.state.ApplyTo(&c.did, index, b)
		c.keep.applied(index, c.state)
		size := uint64(len(e.Cmd)) + entryOverhead
		c.recent.add(size)
		c.logged.Add(size)
		c.entries.Add(1)
		c.mu.Unlock()
		c.applied.Store(e.Index)
		if c.observer != nil {
			c.observer.Applied(c.id, &c.did)
		}
		if mine {
			c.deliver(b.Number, c.did.Results)
			c.did.Results = nil
		}
	}
	c.batches.Done()
	if logged := c.logged.Load(); logged > minLog {
		c.mu.RLock()
		state := c.state.Bytes()
		c.mu.RUnlock()
		if logged > logMultiple*state {
			c.ask()
		}
	}
	return entries, nil
}

const (
	entryOverhead = 64       // bytes of log an entry costs besides its command
	minLog        = 64 << 20 // bytes of log below which no snapshot is taken
	logMultiple   = 2        // times its state's size that the log may grow to
)

func (c *machine) read(m *message.Message) *message.Message {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.state.Read(m)
}

// tryRead is read where nothing is being applied, and nil otherwise.
func (c *machine) tryRead(m *message.Message) *message.Message {
	if !c.mu.TryRLock() {
		return nil
	}
	defer c.mu.RUnlock()
	return c.state.Read(m)
}

// Lookup is Dragonboat's way to read, which we do not take: reads go through Replica.Read.
func (c *machine) Lookup(any) (any, error) {
	return nil, message.Errorf(message.Unsupported, "companies are read through their owner")
}

func (c *machine) PrepareSnapshot() (any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.logged.Store(0)
	c.entries.Store(0)
	c.saving.prepare(c.state)
	return c.state.Snapshot(), nil
}

func (c *machine) SaveSnapshot(s any, w io.Writer, _ sm.ISnapshotFileCollection, done <-chan struct{}) error {
	c.mu.Lock()
	c.saving.count++
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.saving.count--
		c.mu.Unlock()
	}()
	_, err := s.(io.WriterTo).WriteTo(stopWriter{w, done})
	return err
}

// stopWriter ends a snapshot when the replica is being stopped.
type stopWriter struct {
	io.Writer
	done <-chan struct{}
}

func (w stopWriter) Write(p []byte) (int, error) {
	select {
	case <-w.done:
		return 0, sm.ErrSnapshotStopped
	default:
		return w.Writer.Write(p)
	}
}

func (c *machine) RecoverFromSnapshot(r io.Reader, _ []sm.SnapshotFile, _ <-chan struct{}) error {
	install, err := c.state.Load(r) // nothing is applied meanwhile, and who asks how far this replica is gets an answer
	if err != nil {
		return err
	}
	c.mu.Lock()
	install()
	c.applied.Store(rawIndex(c.generation, c.state.Index()))
	c.mu.Unlock()
	if c.observer != nil {
		c.observer.Restored(c.id)
	}
	return nil
}

func (c *machine) Close() error { return nil }
