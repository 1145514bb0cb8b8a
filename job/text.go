package job

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"regexp/syntax"
	"strings"

	"dmalloc/message"
)

// amounts is what count says of an address or of all.
type amounts struct {
	Bytes uint64 `json:"bytes"`
	Lines uint64 `json:"lines"` // a last line without an end counts
	Words uint64 `json:"words"` // parts between white space
}

type countedAddress struct {
	Address message.JobAddress `json:"address"`
	amounts
}

func count(ctx context.Context, t *task) (any, error) {
	if err := t.arguments(&struct{}{}); err != nil {
		return nil, err
	}
	var answer struct {
		amounts
		Addresses []countedAddress `json:"addresses"`
	}
	answer.Addresses = make([]countedAddress, len(t.request.Addresses))
	buf := make([]byte, pieceSize)
	for i, a := range t.request.Addresses {
		n, last, inWord := amounts{}, byte('\n'), false
		err := t.pieces(ctx, i, buf, func(p []byte) error {
			n.Bytes += uint64(len(p))
			for _, c := range p {
				if c == '\n' {
					n.Lines++
				}
				if space(c) {
					inWord = false
				} else if !inWord {
					inWord = true
					n.Words++
				}
			}
			last = p[len(p)-1]
			return nil
		})
		if err != nil {
			return nil, err
		}
		if last != '\n' {
			n.Lines++
		}
		answer.Addresses[i] = countedAddress{a, n}
		answer.Bytes += n.Bytes
		answer.Lines += n.Lines
		answer.Words += n.Words
	}
	return answer, nil
}

func space(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

const (
	maxPattern     = 1000     // bytes of a pattern
	maxProgram     = 2000     // instructions that it becomes: each is a step a byte in the worst case
	maxLine        = 64 << 10 // bytes of a line that are looked at
	maxShown       = 512      // bytes of a line that are answered
	defaultMatches = 100
	maxMatches     = 10_000
	maxMatchBytes  = message.MaxJobResult - 4<<10 // of all matches in JSON
)

type match struct {
	Address message.JobAddress `json:"address"`
	Line    uint64             `json:"line"` // from 1
	Text    string             `json:"text"`
}

// found is the answer of grep: the first matches, and how many there are.
type found struct {
	Matches []json.RawMessage `json:"matches"`
	Total   uint64            `json:"total"`
	More    bool              `json:"more"` // there are more than matches has
	max     int
	bytes   int
}

func grep(ctx context.Context, t *task) (any, error) {
	args := struct {
		Pattern string `json:"pattern"`
		Max     *int   `json:"max"`
	}{}
	if err := t.arguments(&args); err != nil {
		return nil, err
	}
	re, err := pattern(args.Pattern)
	if err != nil {
		return nil, err
	}
	answer := &found{Matches: []json.RawMessage{}, max: defaultMatches}
	if args.Max != nil {
		if answer.max = *args.Max; answer.max < 1 || answer.max > maxMatches {
			return nil, message.Errorf(message.InvalidArgument, "max is %d; it can be from 1 to %d", answer.max, maxMatches)
		}
	}
	buf := make([]byte, pieceSize)
	for i, a := range t.request.Addresses {
		number := uint64(0)
		l := lines{use: func(line []byte) error {
			number++
			if re.Match(line) {
				answer.add(match{a, number, strings.ToValidUTF8(cut(string(line), maxShown), "\uFFFD")})
			}
			return ctx.Err()
		}}
		if err := t.pieces(ctx, i, buf, l.write); err != nil {
			return nil, err
		}
		if err := l.end(); err != nil {
			return nil, err
		}
	}
	return answer, nil
}

func pattern(s string) (*regexp.Regexp, error) {
	if s == "" {
		return nil, message.Errorf(message.InvalidArgument, `grep needs what to look for: {"pattern":"RE2"}`)
	}
	if len(s) > maxPattern {
		return nil, message.Errorf(message.InvalidArgument, "the pattern has %d bytes; at most %d are allowed", len(s), maxPattern)
	}
	tree, err := syntax.Parse(s, syntax.Perl)
	if err != nil {
		return nil, message.Errorf(message.InvalidArgument, "the pattern %s: %v", message.Quote(s), err)
	}
	program, err := syntax.Compile(tree.Simplify())
	if err == nil && len(program.Inst) > maxProgram {
		return nil, message.Errorf(message.InvalidArgument, "the pattern %s is too complex: use smaller numbers of repetitions", message.Quote(s))
	}
	re, err := regexp.Compile(s)
	if err != nil {
		return nil, message.Errorf(message.InvalidArgument, "the pattern %s: %v", message.Quote(s), err)
	}
	return re, nil
}

func (f *found) add(m match) {
	f.Total++
	b, _ := json.Marshal(m) // an address, a number and a string always encode
	if len(f.Matches) >= f.max || f.bytes+len(b)+1 > maxMatchBytes {
		f.More = true
		return
	}
	f.bytes += len(b) + 1
	f.Matches = append(f.Matches, b)
}

// lines cuts pieces into lines. Of a long line it hands on the first maxLine bytes.
type lines struct {
	use  func(line []byte) error
	held []byte // the beginning of a line whose end has not come yet
	open bool
}

func (l *lines) write(p []byte) error {
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		part := p
		if end >= 0 {
			part = p[:end]
		}
		l.held = append(l.held, part[:min(len(part), maxLine-len(l.held))]...)
		l.open = true
		if end < 0 {
			return nil
		}
		if err := l.end(); err != nil {
			return err
		}
		p = p[end+1:]
	}
	return nil
}

// end hands on the line that is open, if one is.
func (l *lines) end() error {
	if !l.open {
		return nil
	}
	line := bytes.TrimSuffix(l.held, []byte("\r"))
	l.held, l.open = l.held[:0], false
	return l.use(line)
}

type hashedAddress struct {
	Address message.JobAddress `json:"address"`
	Bytes   uint64             `json:"bytes"`
	SHA256  string             `json:"sha256"`
}

func sum256(ctx context.Context, t *task) (any, error) {
	if err := t.arguments(&struct{}{}); err != nil {
		return nil, err
	}
	var answer struct {
		Bytes     uint64          `json:"bytes"`
		SHA256    string          `json:"sha256"` // of all, one after the other
		Addresses []hashedAddress `json:"addresses"`
	}
	answer.Addresses = make([]hashedAddress, len(t.request.Addresses))
	all, buf := sha256.New(), make([]byte, pieceSize)
	for i, a := range t.request.Addresses {
		one, n := sha256.New(), uint64(0)
		err := t.pieces(ctx, i, buf, func(p []byte) error {
			one.Write(p) // a hash never fails
			all.Write(p)
			n += uint64(len(p))
			return nil
		})
		if err != nil {
			return nil, err
		}
		answer.Addresses[i] = hashedAddress{a, n, hex.EncodeToString(one.Sum(nil))}
		answer.Bytes += n
	}
	answer.SHA256 = hex.EncodeToString(all.Sum(nil))
	return answer, nil
}
