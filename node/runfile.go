package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"dmalloc/message"
	"dmalloc/run"
)

// runFile keeps what a process has handed out of its runs for the process that follows. Its writes go to the system's
// memory only: they outlive the process, and not a loss of power, which the machine's boot id tells.
//
//	0    "DMRUNS1\n", session, boot id (40 bytes, with zeros), CRC-32C of all that in 8 bytes
//	64   a byte for each company that was asked for a run, by id
//	256  a slot for each run: number, company, blocks handed out, CRC-32C of session and all that; zeros for none
//
// It has its full length from the beginning, so a disk that is full does not matter.
type runFile struct {
	f       *os.File
	session uint64
}

const (
	runFilePrefix = "runs-"
	runMagic      = "DMRUNS1\n"
	bootAt        = 16
	headSum       = 56
	askedAt       = 64
	slotsAt       = 256
	slotBytes     = 32
	runFileBytes  = slotsAt + run.MaxRuns*slotBytes
)

// bootID names this run of the machine's system; empty where it is not told.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func runFilePath(dir string, session uint64) string {
	return filepath.Join(dir, runFilePrefix+strconv.FormatUint(session, 16))
}

// createRunFile makes the file of a session.
func createRunFile(dir string, session uint64, boot string) (*runFile, error) {
	b := make([]byte, runFileBytes)
	copy(b, runMagic)
	binary.LittleEndian.PutUint64(b[8:], session)
	copy(b[bootAt:headSum], boot)
	binary.LittleEndian.PutUint32(b[headSum:], crc32.Checksum(b[:headSum], castagnoli))
	f, err := os.OpenFile(runFilePath(dir, session), os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("keep what is handed out: %w", err)
	}
	if _, err := f.WriteAt(b, 0); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("keep what is handed out: %w", err)
	}
	return &runFile{f, session}, nil
}

// ask keeps that a company is asked for a run.
func (x *runFile) ask(id message.CompanyID) error {
	_, err := x.f.WriteAt([]byte{1}, askedAt+int64(id))
	return err
}

// keep keeps how much of a run is handed out.
func (x *runFile) keep(o run.Out) error {
	var b [slotBytes]byte
	encodeSlot(b[:], x.session, run.Row{Company: o.Company, Number: o.Number, Handed: o.Handed})
	_, err := x.f.WriteAt(b[:], slotsAt+int64(o.Slot)*slotBytes)
	return err
}

func encodeSlot(b []byte, session uint64, r run.Row) {
	binary.LittleEndian.PutUint64(b, r.Number)
	binary.LittleEndian.PutUint32(b[8:], uint32(r.Company))
	binary.LittleEndian.PutUint32(b[12:], uint32(r.Handed))
	binary.LittleEndian.PutUint64(b[16:], session) // for the sum alone
	binary.LittleEndian.PutUint32(b[24:], crc32.Checksum(b[:24], castagnoli))
	clear(b[16:24])
}

func (x *runFile) close() { _ = x.f.Close() }

// earlier is what a process before this one has kept.
type earlier struct {
	session uint64
	asked   []message.CompanyID
	rows    []run.Row
}

var errRunFile = errors.New("it is not what was written")

// decodeRunFile reads a file of a session. An error says that nothing of it can be relied on.
func decodeRunFile(b []byte, boot string) (x earlier, err error) {
	if len(b) != runFileBytes || string(b[:8]) != runMagic || binary.LittleEndian.Uint64(b[headSum:]) != uint64(crc32.Checksum(b[:headSum], castagnoli)) {
		return x, errRunFile
	}
	if kept := strings.TrimRight(string(b[bootAt:headSum]), "\x00"); boot == "" || kept != boot {
		return x, errors.New("the machine was started anew since")
	}
	x.session = binary.LittleEndian.Uint64(b[8:])
	asked := map[message.CompanyID]bool{}
	for id := range message.CompanyID(slotsAt - askedAt) {
		switch b[askedAt+int(id)] {
		case 0:
		case 1:
			if id == 0 || id > message.MaxCompany {
				return x, errRunFile
			}
			asked[id] = true
			x.asked = append(x.asked, id)
		default:
			return x, errRunFile
		}
	}
	var zero, again [slotBytes]byte
	for at := slotsAt; at < runFileBytes; at += slotBytes {
		slot := b[at : at+slotBytes]
		if string(slot) == string(zero[:]) {
			continue
		}
		r := run.Row{Number: binary.LittleEndian.Uint64(slot), Company: message.CompanyID(binary.LittleEndian.Uint32(slot[8:])), Handed: uint64(binary.LittleEndian.Uint32(slot[12:]))}
		clear(again[:])
		encodeSlot(again[:], x.session, r)
		if string(slot) != string(again[:]) || !asked[r.Company] || r.Handed > message.MaxRun {
			return x, errRunFile
		}
		x.rows = append(x.rows, r)
	}
	return x, nil
}

// runFiles lists the sessions before one of which there is a file, the oldest first.
func runFiles(dir string, before uint64) (sessions []uint64) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), runFilePrefix)
		if s, err := strconv.ParseUint(digits, 16, 64); ok && err == nil && s < before {
			sessions = append(sessions, s)
		}
	}
	sort.Slice(sessions, func(i, j int) bool { return sessions[i] < sessions[j] })
	return sessions
}

// readRunFile reads the file of a session.
func readRunFile(dir string, session uint64, boot string) (earlier, error) {
	b, err := os.ReadFile(runFilePath(dir, session))
	if err != nil {
		return earlier{}, err
	}
	x, err := decodeRunFile(b, boot)
	if err == nil && x.session != session {
		err = errRunFile
	}
	return x, err
}

// removeRunFile removes it; where that fails it is settled once more, which does nothing.
func removeRunFile(dir string, session uint64) error {
	err := os.Remove(runFilePath(dir, session))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
