package sysdump

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
)

// removed stands in place of a secret.
const removed = "(removed)"

// withoutSecrets writes JSON in lines, without the values of members that are called like secrets (D3).
func withoutSecrets(data []byte) ([]byte, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return []byte("null\n"), nil
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber() // a float64 keeps 53 bits
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(redact(v)); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func redact(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			if secret(name) {
				v[name] = removed
				continue
			}
			v[name] = redact(value)
		}
	case []any:
		for i := range v {
			v[i] = redact(v[i])
		}
	}
	return v
}

// secretText finds what stands behind such names in logs: token=…, "password": …, Bearer ….
var secretText = regexp.MustCompile(`(?i)([\w-]*(?:token|secret|password|passphrase|private|credential|authorization)[\w-]*["']?\s*[=:]\s*(?:bearer\s+)?|\bbearer\s+)("[^"]*"|\S+)`)

// withoutSecretText is the same for lines of text.
func withoutSecretText(data []byte) []byte {
	return secretText.ReplaceAll(data, []byte("${1}"+removed))
}

// secret says whether a member is called like something that must not leave the cluster.
func secret(name string) bool {
	name = strings.ToLower(name)
	for _, word := range []string{"token", "secret", "password", "passphrase", "private", "credential", "authorization"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return name == "key" || strings.HasSuffix(name, "_key") || strings.HasSuffix(name, "apikey")
}
