package job

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"strings"

	"dmalloc/message"
)

const (
	maxNumber  = 64 // bytes of a number in text
	fraction   = 18 // digits after the point that are kept exactly
	exactUntil = 15 // digits that every reader of JSON numbers keeps: a longer sum is a string
)

// total adds numbers. Whole numbers and decimal fractions are added exactly, whatever their size.
type total struct {
	exact   big.Int // in units of 10^-fraction
	float   float64 // of f64
	lost    float64 // what the float's roundings lost (Neumaier)
	floats  bool
	numbers uint64
	one     big.Int // scratch
}

// sum adds up what is at the addresses.
func sum(ctx context.Context, t *task) (any, error) {
	args := struct {
		As string `json:"as"`
	}{}
	if err := t.arguments(&args); err != nil {
		return nil, err
	}
	switch args.As {
	case "", "text", "u64", "i64", "f64":
	default:
		return nil, message.Errorf(message.InvalidArgument, "%s is no kind of number; as is text, u64, i64 or f64", message.Quote(args.As))
	}
	all, buf := &total{floats: args.As == "f64"}, make([]byte, pieceSize)
	for i, a := range t.request.Addresses {
		as := args.As
		if as == "" {
			as = "text"
			if a.Heap {
				as = "u64"
			}
		}
		var err error
		if as == "text" {
			w := words{use: all.addText}
			if err = t.pieces(ctx, i, buf, w.write); err == nil {
				err = t.name(i, w.end())
			}
		} else {
			c := chunks{use: func(b []byte) { all.addWord(as, binary.LittleEndian.Uint64(b)) }}
			if err = t.pieces(ctx, i, buf, c.write); err == nil {
				err = t.name(i, c.end())
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return struct {
		Sum     json.RawMessage `json:"sum"`
		Numbers uint64          `json:"numbers"`
	}{all.json(), all.numbers}, nil
}

func (t *total) addWord(as string, w uint64) {
	t.numbers++
	switch as {
	case "f64":
		t.addFloat(math.Float64frombits(w))
		return
	case "i64":
		t.one.SetInt64(int64(w))
	default:
		t.one.SetUint64(w)
	}
	t.exact.Add(&t.exact, t.one.Mul(&t.one, unit))
}

var unit = new(big.Int).Exp(big.NewInt(10), big.NewInt(fraction), nil)

func (t *total) addFloat(f float64) {
	s := t.float + f
	if math.Abs(t.float) >= math.Abs(f) {
		t.lost += t.float - s + f
	} else {
		t.lost += f - s + t.float
	}
	t.float = s
}

// addText adds a decimal number such as -12 or 0.25.
func (t *total) addText(word []byte) error {
	whole, part, _ := strings.Cut(string(word), ".")
	digits := strings.TrimLeft(whole, "+-")
	ok := len(whole)-len(digits) <= 1 && digits+part != "" && len(part) <= fraction && strings.Trim(digits+part, "0123456789") == ""
	if ok {
		_, ok = t.one.SetString(digits+part+strings.Repeat("0", fraction-len(part)), 10)
	}
	if !ok {
		return message.Errorf(message.InvalidArgument, "%s is not a decimal number with at most %d digits after the point", message.Quote(string(word)), fraction)
	}
	if strings.HasPrefix(whole, "-") {
		t.one.Neg(&t.one)
	}
	t.exact.Add(&t.exact, &t.one)
	t.numbers++
	return nil
}

// json is the sum as a number where every reader keeps it exactly, else as a string.
func (t *total) json() json.RawMessage {
	if t.floats {
		f := t.float + t.lost
		if math.IsNaN(t.lost) || math.IsInf(t.float, 0) {
			f = t.float // infinities leave no roundings to repair
		}
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return json.RawMessage(strconv.Quote(strconv.FormatFloat(f, 'g', -1, 64)))
		}
		b, _ := json.Marshal(f) // a finite number always encodes
		return b
	}
	digits := new(big.Int).Abs(&t.exact).String()
	if n := fraction + 1 - len(digits); n > 0 {
		digits = strings.Repeat("0", n) + digits
	}
	point := len(digits) - fraction
	s := strings.TrimSuffix(strings.TrimRight(digits[:point]+"."+digits[point:], "0"), ".")
	significant := len(strings.TrimLeft(strings.Replace(s, ".", "", 1), "0"))
	if t.exact.Sign() < 0 {
		s = "-" + s
	}
	if significant > exactUntil {
		s = strconv.Quote(s)
	}
	return json.RawMessage(s)
}

// words cuts pieces at white space.
type words struct {
	use  func(word []byte) error
	held []byte
}

func (w *words) write(p []byte) error {
	for _, c := range p {
		if space(c) {
			if err := w.end(); err != nil {
				return err
			}
			continue
		}
		if len(w.held) == maxNumber {
			return message.Errorf(message.InvalidArgument, "%s… is longer than %d characters, and no number", message.Quote(string(w.held)), maxNumber)
		}
		w.held = append(w.held, c)
	}
	return nil
}

// end hands on the word that is open, if one is.
func (w *words) end() error {
	if len(w.held) == 0 {
		return nil
	}
	word := w.held
	w.held = w.held[:0]
	return w.use(word)
}

// chunks cuts pieces into words of 8 bytes.
type chunks struct {
	use  func(b []byte)
	held []byte
}

func (c *chunks) write(p []byte) error {
	if len(c.held) > 0 {
		n := min(8-len(c.held), len(p))
		c.held, p = append(c.held, p[:n]...), p[n:]
		if len(c.held) < 8 {
			return nil
		}
		c.use(c.held)
		c.held = c.held[:0]
	}
	for ; len(p) >= 8; p = p[8:] {
		c.use(p)
	}
	c.held = append(c.held, p...)
	return nil
}

func (c *chunks) end() error {
	if len(c.held) > 0 {
		return message.Errorf(message.InvalidArgument, "its size is not a multiple of 8 bytes, as words of 8 bytes need; %d are left over", len(c.held))
	}
	return nil
}
