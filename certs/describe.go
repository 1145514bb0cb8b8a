package certs

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"dmalloc/message"
)

// Describe lists the certificates in a directory for a person, one a line: file, whose, until when, for which
// hosts, and what is wrong with it.
func Describe(dir string) ([]string, error) {
	lines, err := describeAt(dir, time.Now())
	return lines, doing("certs.Describe", err)
}

func describeAt(dir string, now time.Time) ([]string, error) {
	path := filepath.Join(dir, authorityCertificate)
	authorities, _, err := readCertificates(path)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	pool := x509.NewCertPool()
	for _, a := range authorities {
		pool.AddCert(a)
		remark := span(a, now)
		if exists(filepath.Join(dir, authorityKey)) {
			remark += "; its key is here, too: nodes do not need it"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", authorityCertificate, a.Subject.CommonName, remark)
	}
	for _, r := range roles(int(message.MaxNodes)) {
		if exists(filepath.Join(dir, r.certificate())) {
			fmt.Fprintf(w, "%s\t%s\t%s\n", r.certificate(), r, describeRole(dir, r, pool, now))
		}
	}
	if err := w.Flush(); err != nil {
		return nil, &message.Error{Code: message.Internal, Text: "certificates cannot be listed", Err: err}
	}
	return strings.Split(strings.TrimRight(out.String(), "\n"), "\n"), nil
}

// describeRole is the remark about a role's certificate.
func describeRole(dir string, r Role, pool *x509.CertPool, now time.Time) string {
	path := filepath.Join(dir, r.certificate())
	list, _, err := readCertificates(path)
	if err != nil {
		return "UNUSABLE: " + err.Error()
	}
	if _, err := os.Stat(filepath.Join(dir, r.key())); err != nil {
		if err := fits(path, r, list, pool, now); err != nil {
			return "UNUSABLE: " + err.Error()
		}
		return span(list[0], now) + "; its key is not here"
	}
	if _, err := read(dir, r, now); err != nil {
		return "UNUSABLE: " + err.Error()
	}
	c := list[0]
	hosts := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	if len(hosts) == 0 {
		return span(c, now)
	}
	return span(c, now) + "; for " + strings.Join(hosts, ", ")
}

// span says until when a certificate is good.
func span(c *x509.Certificate, now time.Time) string {
	left := int(c.NotAfter.Sub(now).Hours() / 24)
	if now.After(c.NotAfter) {
		return fmt.Sprintf("EXPIRED on %s", day(c.NotAfter))
	}
	return fmt.Sprintf("until %s (%d days)", day(c.NotAfter), left)
}
