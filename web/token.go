package web

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"

	"dmalloc/message"
)

const (
	openPath     = "/healthz" // needs no token: who asks whether a process lives has none
	maxTokens    = 1000
	maxTokenFile = 1 << 20 // bytes
	unauthorized = "unauthorized"
)

// ReadTokens reads a file of tokens, one a line, and gives their SHA-256: what a Server compares with is no
// secret. Others must not be able to read the file.
func ReadTokens(path string) ([][]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, message.Errorf(message.InvalidArgument, "the token file %s is missing: write one token a line, and chmod 600", path)
	}
	if err != nil {
		return nil, message.Errorf(message.Forbidden, "the token file cannot be read: %v", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, message.Errorf(message.InvalidArgument, "the token file %s is no file (%v)", path, err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, message.Errorf(message.Forbidden, "the token file %s can be read by others (mode %04o): chmod 600 %s, and write new tokens if somebody may have read it", path, mode, path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxTokenFile+1))
	if err != nil {
		return nil, message.Errorf(message.Unavailable, "the token file cannot be read: %v", err)
	}
	return parseTokens(path, b)
}

// parseTokens reads one token a line, of visible ASCII as a header can carry; empty lines are passed over.
func parseTokens(path string, b []byte) (digests [][]byte, err error) {
	if len(b) > maxTokenFile {
		return nil, message.Errorf(message.InvalidArgument, "the token file %s is longer than %d bytes", path, maxTokenFile)
	}
	n := 0
	for line := range bytes.SplitSeq(b, []byte("\n")) {
		n++
		token := string(bytes.Trim(line, " \t\r"))
		if token == "" {
			continue
		}
		if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return nil, message.Errorf(message.InvalidArgument, "%s:%d: a token has no blanks and only visible ASCII", path, n)
		}
		if len(digests) == maxTokens {
			return nil, message.Errorf(message.InvalidArgument, "%s:%d: more than %d tokens", path, n, maxTokens)
		}
		digests = append(digests, digest(token))
	}
	if len(digests) == 0 {
		return nil, message.Errorf(message.InvalidArgument, "the token file %s holds no token: write one a line", path)
	}
	return digests, nil
}

func digest(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// admit refuses a request that shows no token where one is needed (W7). All of them are compared, so that the
// time it takes says nothing.
func (s *Server) admit(a *answer, r *http.Request) error {
	if len(s.cfg.Tokens) == 0 || r.URL.Path == openPath {
		return nil
	}
	shown := r.Header.Values("Authorization")
	if len(shown) == 1 {
		scheme, token, _ := strings.Cut(shown[0], " ")
		own, fits := digest(strings.Trim(token, " ")), 0
		for _, d := range s.cfg.Tokens {
			fits |= subtle.ConstantTimeCompare(own, d)
		}
		if strings.EqualFold(scheme, "Bearer") && fits == 1 {
			return nil
		}
	}
	a.Header().Set("WWW-Authenticate", "Bearer")
	return &failure{http.StatusUnauthorized, unauthorized, "this node wants a token: send the header Authorization: Bearer TOKEN, with one of those that it was started with"}
}
