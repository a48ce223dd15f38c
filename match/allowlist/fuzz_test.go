package allowlist

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// A statement reads back to the bytes it came from, or not at all; without
// the key nothing verifies.
func FuzzStatement(f *testing.F) {
	f.Add(Statement{Generation: 1, Version: 2, Issued: testIssued, Expires: testIssued.Add(time.Hour), Entries: 3, DataPages: 4}.Sign(testKey))
	f.Add([]byte("GATESTMT"))
	f.Fuzz(func(t *testing.T, b []byte) {
		st, err := ParseStatement(b)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("unsorted error %v", err)
			}
			return
		}
		if body := st.body(); string(body) != string(b[:statementBody]) {
			t.Fatalf("read %x, wrote %x", b[:statementBody], body)
		}
		if _, err := VerifyStatement(b, []ed25519.PublicKey{otherKey.Public().(ed25519.PublicKey)}); err == nil {
			t.Fatal("verified with a key that signed nothing")
		}
	})
}

// A header reads back to the page it came from, and its shape is bounded.
func FuzzHeader(f *testing.F) {
	h := header{generation: 1, version: 2, entries: 3, sets: 4, setPages: 1}
	f.Add(h.marshal()[:128])
	f.Fuzz(func(t *testing.T, b []byte) {
		var p page
		copy(p[:], b)
		h, err := parseHeader(&p)
		if err != nil {
			return
		}
		if *h.marshal() != p {
			t.Fatal("the header does not read back")
		}
		if g := h.geometry(); g.data == 0 || g.total <= g.data || g.total > 1<<40 {
			t.Fatalf("absurd shape %+v", g)
		}
	})
}

// Set data and lines of CSV come to an end without a panic.
func FuzzSetAndCSV(f *testing.F) {
	f.Add([]byte("\x01\x01\x05VN123\x07SGN-G12"), `VNM,"a ""b""",c`)
	f.Fuzz(func(t *testing.T, b []byte, line string) {
		if s, err := decodeSet(b); err == nil && string(s.encode()) != string(b) {
			t.Fatalf("set %x reads back as %x", b, s.encode())
		}
		if fields, err := splitCSV(nil, line); err == nil && len(fields) == 0 {
			t.Fatal("a line without a field")
		}
	})
}

// Whatever a delta holds: what comes of it has the signed root, or it is an
// error, without a panic or a file that grows beyond the list.
func FuzzDelta(f *testing.F) {
	p := push(f)
	old, whole := openProven(f, p.first), openProven(f, p.second)
	good := mustFile(f, p.delta)
	f.Add(good)
	f.Add(good[:deltaHead])
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		out := filepath.Join(dir, strconv.Itoa(os.Getpid()))
		defer os.Remove(out)
		err := Merge(t.Context(), old, bytes.NewReader(b), whole.st, out)
		if err != nil && !errors.Is(err, ErrBase) && !errors.Is(err, ErrDamaged) {
			t.Fatalf("unsorted error %v", err)
		}
		if err == nil && !bytes.Equal(mustFile(t, out), mustFile(t, filepath.Join(p.second, TableFile))) {
			t.Fatal("another table was taken")
		}
	})
}

// A file of revocations reads back to the bytes it came from, or not at all.
func FuzzRevocations(f *testing.F) {
	f.Add(revocations(f, &Revocations{}, vnm(1)).Marshal(), true)
	f.Fuzz(func(t *testing.T, b []byte, summed bool) {
		if summed && len(b) > sha256.Size { // past the sum, to what it guards
			sum := sha256.Sum256(b[:len(b)-sha256.Size])
			b = append(slices.Clone(b[:len(b)-sha256.Size]), sum[:]...)
		}
		if r, err := ParseRevocations(b); err == nil && !bytes.Equal(r.Marshal(), b) {
			t.Fatal("revocations do not read back")
		}
	})
}
