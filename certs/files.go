package certs

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"dmalloc/message"
)

const (
	authorityCertificate = "ca.crt"
	authorityKey         = "ca.key"

	certificateType = "CERTIFICATE"
	keyType         = "PRIVATE KEY"

	maxFile = 1 << 20 // bytes of a file that is read: room for a thousand authorities
	others  = 0o077   // who may not read a key
)

// fault is an error about a file: which, what is wrong with it, what to do.
func fault(c message.Code, path, format string, args ...any) *message.Error {
	e := message.Errorf(c, format, args...)
	e.Text = path + " " + e.Text
	return e
}

// readFile reads a file that must be there, of bounded length. A pipe would never end.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault(message.InvalidArgument, path, "is missing: make certificates, or copy this one from where they were made")
	case err != nil:
		return nil, &message.Error{Code: message.Unavailable, Text: "certificates cannot be read", Err: err}
	case !info.Mode().IsRegular():
		return nil, fault(message.InvalidArgument, path, "is no file: give the directory that holds the certificates")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, &message.Error{Code: message.Forbidden, Text: "certificates cannot be read; run dmalloc as the user who owns them", Err: err}
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, &message.Error{Code: message.Unavailable, Text: path + " cannot be read", Err: err}
	}
	if len(b) > maxFile {
		return nil, fault(message.Corrupt, path, "is longer than %d bytes, as no certificate is", maxFile)
	}
	return b, nil
}

// readCertificates reads a PEM file with at least one certificate.
func readCertificates(path string) (list []*x509.Certificate, text []byte, err error) {
	text, err = readFile(path)
	if err != nil {
		return nil, nil, err
	}
	list, err = parseCertificates(path, text)
	return list, text, err
}

// parseCertificates reads the certificates in PEM text; whatever else stands there is passed over.
func parseCertificates(path string, text []byte) (list []*x509.Certificate, err error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != certificateType {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fault(message.Corrupt, path, "holds a damaged certificate (%v): copy it again", err)
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, fault(message.Corrupt, path, "holds no certificate: copy it again")
	}
	return list, nil
}

// readKeyText reads a key's file, which nobody but its owner may read.
func readKeyText(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm()&others != 0 {
		return nil, fault(message.Forbidden, path, "is a key that others can read (mode %04o): chmod 600 %s, and make a new one if somebody may have read it", info.Mode().Perm(), path)
	}
	return readFile(path)
}

// readKey reads a key that Make wrote.
func readKey(path string) (crypto.Signer, error) {
	text, err := readKeyText(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != keyType {
		return nil, fault(message.Corrupt, path, "holds no private key: copy it again")
	}
	any, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := any.(crypto.Signer)
	if err != nil || !ok {
		return nil, fault(message.Corrupt, path, "holds a damaged key: copy it again")
	}
	return key, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// write puts a file in its place, whole or not at all (C2).
func write(path string, data []byte, mode os.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // readable by nobody else
	if err != nil {
		return unwritten(path, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
			err = unwritten(path, err)
		}
	}()
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync())
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func unwritten(path string, err error) error {
	return &message.Error{Code: message.Unavailable, Text: path + " cannot be written", Err: err}
}

// keep makes what was renamed in a directory last.
func keep(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return unwritten(dir, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return unwritten(dir, err)
	}
	return nil
}
