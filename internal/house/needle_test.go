package house

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// needle is one planted secret in one form in which it could leak.
type needle struct {
	what string // what leaked and in which form; never the secret itself
	b    []byte
	// alone: so short that it must not be part of a longer number, or it
	// would be found in random hex digits now and then.
	alone bool
}

// forms gives a secret in the forms that careless code would write it in.
func forms(what string, secret []byte) []needle {
	short := len(secret) < 8
	out := []needle{{what, secret, short}}
	add := func(form string, b []byte, alone bool) {
		if !bytes.Equal(b, secret) && len(b) > 0 {
			out = append(out, needle{what + " as " + form, b, alone})
		}
	}
	add("hex", []byte(hex.EncodeToString(secret)), false)
	add("upper-case hex", []byte(strings.ToUpper(hex.EncodeToString(secret))), false)
	add("spaced hex", fmt.Appendf(nil, "% x", secret), false)
	add("a list of numbers", []byte(strings.Trim(fmt.Sprint(secret), "[]")), false)
	for phase := range 3 {
		add(fmt.Sprintf("base64 at offset %d", phase), inBase64(base64.StdEncoding, secret, phase), false)
		add(fmt.Sprintf("URL base64 at offset %d", phase), inBase64(base64.URLEncoding, secret, phase), false)
	}
	if !bytes.ContainsFunc(secret, func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }) {
		text := string(secret)
		add("decomposed text", []byte(norm.NFD.String(text)), short)
		add("lower case", []byte(strings.ToLower(text)), short)
		add("upper case", []byte(strings.ToUpper(text)), short)
		add("escaped text", []byte(strings.Trim(strconv.QuoteToASCII(text), `"`)), short)
	}
	return out
}

// inBase64 gives the characters that stand for the secret alone when phase
// bytes of something else come before it.
func inBase64(enc *base64.Encoding, secret []byte, phase int) []byte {
	all := []byte(enc.WithPadding(base64.NoPadding).EncodeToString(append(make([]byte, phase), secret...)))
	first := (phase*8 + 5) / 6
	last := (phase + len(secret)) * 8 / 6
	if first >= last {
		return nil
	}
	return all[first:last]
}

// in says whether the needle lies in the hay.
func (n needle) in(hay []byte) bool {
	for from := 0; ; {
		i := bytes.Index(hay[from:], n.b)
		if i < 0 {
			return false
		}
		i += from
		if !n.alone || !digitAt(hay, i-1) && !digitAt(hay, i+len(n.b)) {
			return true
		}
		from = i + 1
	}
}

// digitAt says whether a decimal or hexadecimal digit stands there.
func digitAt(b []byte, i int) bool {
	return i >= 0 && i < len(b) && strings.IndexByte("0123456789abcdefABCDEF", b[i]) >= 0
}

// windows cuts something long into pieces of n bytes, every step bytes, and
// leaves out what is too plain to be told from other data.
func windows(b []byte, n, step int) [][]byte {
	var out [][]byte
	for i := 0; i+n <= len(b); i += step {
		w := b[i : i+n]
		seen := map[byte]bool{}
		for _, c := range w {
			seen[c] = true
		}
		if len(seen) >= n/2 {
			out = append(out, w)
		}
	}
	return out
}

func TestNeedles(t *testing.T) {
	name := "Đặngthử Quỳnhmẫu"
	number := []byte("079190739146")
	for _, c := range []struct {
		what   string
		secret []byte
		hay    string
		found  bool
	}{
		{"raw", number, "number=079190739146 ", true},
		{"hex", number, hex.EncodeToString(append([]byte("xx"), number...)), true},
		{"bytes printed", number, fmt.Sprint(append([]byte{1, 2}, number...)), true},
		{"base64, first", number, base64.StdEncoding.EncodeToString(append([]byte{}, "079190739146|x"...)), true},
		{"base64, second", number, base64.StdEncoding.EncodeToString([]byte("x079190739146|x")), true},
		{"base64, third", number, base64.StdEncoding.EncodeToString([]byte("xy079190739146|x")), true},
		{"name", []byte(name), "name=" + name, true},
		{"name, decomposed", []byte(name), norm.NFD.String(name), true},
		{"name, quoted", []byte(name), strconv.QuoteToASCII("x " + name), true},
		{"name, upper case", []byte(name), strings.ToUpper(name), true},
		{"six digits", []byte("739146"), "can=739146,", true},
		{"six digits at the end", []byte("739146"), "739146", true},
		{"six digits in a hash", []byte("739146"), "a0739146b1 c739146", false},
		{"nothing", number, "079190739147", false},
	} {
		found := false
		for _, n := range forms(c.what, c.secret) {
			found = found || n.in([]byte(c.hay))
		}
		if found != c.found {
			t.Errorf("%s: found %v", c.what, found)
		}
	}
}
