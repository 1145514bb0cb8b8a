package client

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"dmalloc/message"
)

// A module lies in registers of JobSpace, a piece in each, at addresses that follow from its digest and its
// generation: what was read is known to be what was added, and no other module has a share in it.
const jobPiece = 512 << 10 // bytes

const jobWait = 40 * time.Second // longer than any job may take

func jobPieces(size uint64) int { return int((size + jobPiece - 1) / jobPiece) }

func jobRegister(sum [sha256.Size]byte, generation uint64, piece int) message.RegisterID {
	b := binary.LittleEndian.AppendUint64(sum[:], generation)
	h := sha256.Sum256(binary.LittleEndian.AppendUint32(b, uint32(piece)))
	return message.RegisterID{Space: message.JobSpace, Address: binary.LittleEndian.Uint64(h[:])}
}

// AddJob keeps a module under a name, in place of the one that had it.
func (h *Heap) AddJob(ctx context.Context, name string, module []byte) (message.Job, error) {
	if err := message.CheckJobName(name); err != nil {
		return message.Job{}, err
	}
	if len(module) == 0 || len(module) > message.MaxJobModule {
		return message.Job{}, message.Errorf(message.InvalidArgument, "a module of %d bytes cannot be kept; it has 1 to %d", len(module), message.MaxJobModule)
	}
	sum := sha256.Sum256(module)
	job := message.Job{Name: name, Size: uint64(len(module)), SHA256: hex.EncodeToString(sum[:]), Generation: rand.Uint64()}
	for i := range jobPieces(job.Size) {
		piece := module[i*jobPiece : min((i+1)*jobPiece, len(module))]
		if _, err := h.writeRegister(ctx, jobRegister(sum, job.Generation, i), piece); err != nil {
			return message.Job{}, fmt.Errorf("keep piece %d of the module: %w", i, err)
		}
	}
	h.refresh(ctx)
	old := h.findJob(name)
	if err := h.Change(ctx, message.JOBADD, job); err != nil {
		return message.Job{}, err
	}
	h.refresh(ctx)
	if old != nil {
		h.dropPieces(ctx, *old)
	}
	return job, nil
}

// DropJob forgets the module of a name.
func (h *Heap) DropJob(ctx context.Context, name string) error {
	h.refresh(ctx)
	old := h.findJob(name)
	m := message.New(message.JOBDROP)
	m.Data = []byte(name)
	a, err := h.do(ctx, 0, m)
	if err == nil {
		err = a.Err()
	}
	if err != nil {
		return err
	}
	h.refresh(ctx)
	if old != nil {
		h.dropPieces(ctx, *old)
	}
	return nil
}

// dropPieces empties the registers of a module that no name has any more. What cannot be emptied now only
// takes room.
func (h *Heap) dropPieces(ctx context.Context, job message.Job) {
	sum, err := jobSum(job)
	if err != nil {
		return
	}
	for i := range jobPieces(job.Size) {
		_, _ = h.writeRegister(ctx, jobRegister(sum, job.Generation, i), nil)
	}
}

// Jobs lists the modules by name.
func (h *Heap) Jobs(ctx context.Context) ([]message.Job, error) {
	d, err := h.Directory(ctx)
	if err != nil {
		return nil, err
	}
	return append([]message.Job{}, d.Jobs...), nil
}

// FindJob looks a module up by name, in the directory as it is now.
func (h *Heap) FindJob(ctx context.Context, name string) (message.Job, error) {
	if j := h.findJob(name); j != nil {
		return *j, nil
	}
	h.refresh(ctx)
	if j := h.findJob(name); j != nil {
		return *j, nil
	}
	return message.Job{}, message.Errorf(message.NoSuchJob, "no job is called %s; job ls lists them, job add keeps one", message.Quote(name))
}

func (h *Heap) findJob(name string) *message.Job {
	jobs := h.directory().Jobs
	for i := range jobs {
		if jobs[i].Name == name {
			return &jobs[i]
		}
	}
	return nil
}

func jobSum(job message.Job) (sum [sha256.Size]byte, err error) {
	b, err := hex.DecodeString(job.SHA256)
	if err != nil || len(b) != len(sum) || job.Size > message.MaxJobModule {
		return sum, message.Errorf(message.Internal, "the directory describes the job %s wrongly", message.Quote(job.Name))
	}
	return [sha256.Size]byte(b), nil
}

// JobModule reads a module, and makes sure that it is the one that was added.
func (h *Heap) JobModule(ctx context.Context, job message.Job) ([]byte, error) {
	sum, err := jobSum(job)
	if err != nil {
		return nil, err
	}
	module := make([]byte, 0, job.Size)
	for i := range jobPieces(job.Size) {
		r, err := h.readRegister(ctx, jobRegister(sum, job.Generation, i))
		if err != nil {
			return nil, fmt.Errorf("read piece %d of the job %s: %w", i, job.Name, err)
		}
		module = append(module, r.Value...)
	}
	if sha256.Sum256(module) != sum {
		return nil, message.Errorf(message.NoSuchJob, "the pieces of the job %s are not what was added; add it again", job.Name)
	}
	return module, nil
}

// RunJob has a job done on the node that holds most of its addresses, and waits for its result.
func (h *Heap) RunJob(ctx context.Context, q message.JobRequest) (message.JobResult, error) {
	var out message.JobResult
	if len(q.Addresses) > message.MaxJobAddresses {
		return out, message.Errorf(message.InvalidArgument, "a job has at most %d addresses, not %d", message.MaxJobAddresses, len(q.Addresses))
	}
	if len(q.Args) > message.MaxJobArgs {
		return out, message.Errorf(message.InvalidArgument, "a job's arguments have at most %d bytes, not %d", message.MaxJobArgs, len(q.Args))
	}
	d := h.directory()
	var last error
	for _, node := range d.From(h.startNode()) {
		n := node.ID
		if time.Since(h.cfg.Carrier.Heard(n)) > time.Second { // does it live? a job must not be sent twice to find out
			if _, err := h.call(ctx, n, message.New(message.TEST), statusWait); err != nil {
				last = err
				continue
			}
		}
		m := message.New(message.JOB)
		m.Data = message.JSON(q)
		if deadline, ok := ctx.Deadline(); ok {
			m.Value = uint64(max(time.Until(deadline).Milliseconds(), 1))
		}
		a, err := h.call(ctx, n, m, jobWait)
		var link interface{ MaybeSent() bool }
		switch {
		case err == nil && a.Status != message.Done:
			return out, a.Err()
		case err == nil:
			err = json.Unmarshal(a.Data, &out)
			return out, err
		case ctx.Err() != nil:
			return out, message.Errorf(message.Timeout, "the job %s has not ended within the time that it was given; it may have run", q.Job)
		case errors.As(err, &link) && !link.MaybeSent():
			last = err // it was certainly not begun
		default:
			return out, message.Errorf(message.Unavailable, "node %s went away while it saw to the job %s (%v); it may have run", n, q.Job, err)
		}
	}
	return out, message.Errorf(message.Unavailable, "no node answers: %v", last)
}
