package wire

import (
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// docKiosk is an enrolled kiosk with an empty identity folder, and the way by
// which central would bring it keys.
func docKiosk(t *testing.T, name string, set *DocKeySet) (*Identity, string, func(*DocKeySet) *Command) {
	t.Helper()
	keys, err := NewKioskKeys(name)
	if err != nil {
		t.Fatal(err)
	}
	ack, pub := testKey(2)
	send := func(s *DocKeySet) *Command {
		c, err := s.Command(name, keys.Seal.PublicKey().Bytes(), ack)
		if err != nil {
			t.Fatal(err)
		}
		data, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if c, err = DecodeCommand(data); err != nil { // as it travels
			t.Fatal(err)
		}
		return c
	}
	return &Identity{Name: name, AckKey: pub, DocKeys: set, seal: keys.Seal}, t.TempDir(), send
}

var docStart = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

// month gives the key of the nth 30 days.
func month(n int) DocKey {
	from := docStart.Add(time.Duration(n) * 30 * 24 * time.Hour)
	return NewDocKey(from, from.Add(30*24*time.Hour))
}

func setAt(n int, keys ...DocKey) *DocKeySet {
	return &DocKeySet{Issued: docStart.Add(time.Duration(n) * 24 * time.Hour), Keys: keys}
}

// A kiosk is away over two changes of the key. It goes on with the next key,
// which it had already; past that one's end its records go without references;
// when it is back it has the newest at once, and again after a restart.
func TestDocKeysOfflineAcrossRotations(t *testing.T) {
	k0, k1, k2 := month(0), month(1), month(2)
	id, dir, send := docKiosk(t, "k1", setAt(0, k0))
	ring, err := OpenDocKeyring(dir, id)
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Take(send(setAt(24, k0, k1))); err != nil {
		t.Fatal(err)
	}
	ref := func(n float64) string {
		return ring.Ref(docStart.Add(time.Duration(n*30*24)*time.Hour), "VNM", "ID", "001099012345")
	}
	form := regexp.MustCompile(`^[0-9a-f]{8}\.[0-9a-f]{32}$`) // as docs/record.schema.json
	if a, b := ref(0.5), ref(1.5); !form.MatchString(a) || !form.MatchString(b) || a[:8] != k0.ID || b[:8] != k1.ID || a[9:] == b[9:] {
		t.Errorf("%q, then %q", a, b)
	}
	if r := ref(2.5); r != "" {
		t.Errorf("a reference by a key whose time is over: %q", r)
	}
	if _, inForce := ring.State(docStart.Add(75 * 24 * time.Hour)); inForce {
		t.Error("it says that a key is in force")
	}
	if err := ring.Take(send(setAt(76, k1, k2))); err != nil {
		t.Fatal(err)
	}
	want := ref(2.6)
	if len(want) != 41 || want[:8] != k2.ID {
		t.Errorf("after it came back: %q", want)
	}
	if ref(0.5) != "" {
		t.Error("a key that central has deleted is still here")
	}
	for name := range map[string]bool{"restart": true, "second restart": true} {
		if ring, err = OpenDocKeyring(dir, id); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if ref(2.6) != want {
			t.Errorf("%s: another reference", name)
		}
	}
	info, err := os.Stat(filepath.Join(dir, fileDocKeys))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	data, err := os.ReadFile(filepath.Join(dir, fileDocKeys))
	if err != nil || strings.Contains(string(data), k2.ID) {
		t.Errorf("the keys lie open in the file (%v)", err)
	}
}

// What is forged, for another kiosk, altered or older than what is in force
// changes nothing, neither now nor after a restart.
func TestDocKeysRefused(t *testing.T) {
	k0, k1 := month(0), month(1)
	id, dir, send := docKiosk(t, "k1", setAt(0, k0))
	_, _, sendOther := docKiosk(t, "k2", nil)
	ring, err := OpenDocKeyring(dir, id)
	if err != nil {
		t.Fatal(err)
	}
	now := setAt(10, k0, k1)
	if err := ring.Take(send(now)); err != nil {
		t.Fatal(err)
	}
	forged := send(setAt(20, month(0)))
	kiosk, _ := testKey(1)
	if err := forged.Sign(kiosk); err != nil {
		t.Fatal(err)
	}
	change := func(f func(*Command)) *Command {
		c := send(setAt(20, month(0)))
		f(c)
		return c
	}
	ack, _ := testKey(2)
	resigned := func(f func(*Command)) *Command {
		c := change(f)
		if err := c.Sign(ack); err != nil {
			t.Fatal(err)
		}
		return c
	}
	for name, tc := range map[string]struct {
		c    *Command
		want error
	}{
		"signed by another":            {forged, ErrSignature},
		"for another kiosk":            {sendOther(setAt(20, month(0))), ErrFormat},
		"older":                        {send(setAt(5, month(0))), ErrOld},
		"as old, with other keys":      {send(setAt(10, month(0))), ErrOld},
		"altered keys":                 {change(func(c *Command) { c.Sealed[40] ^= 1 }), ErrSignature},
		"another time on old keys":     {resigned(func(c *Command) { c.Issued = c.Issued.Add(time.Hour) }), ErrFormat},
		"kind":                         {resigned(func(c *Command) { c.Kind = "open_gate" }), ErrFormat},
		"kind, unsigned":               {change(func(c *Command) { c.Kind = "open_gate" }), ErrSignature},
		"version":                      {change(func(c *Command) { c.V = 2 }), ErrVersion},
		"part of a second":             {change(func(c *Command) { c.Issued = c.Issued.Add(time.Millisecond) }), ErrFormat},
		"zero value":                   {new(Command), ErrVersion},
		"sealed to another's seal key": {resigned(func(c *Command) { c.Sealed = sendOther(setAt(20, month(0))).Sealed }), nil},
	} {
		if err := ring.Take(tc.c); err == nil || tc.want != nil && !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	if err := ring.Take(send(now)); err != nil {
		t.Errorf("a repeat: %v", err)
	}
	for range 2 {
		if name, _ := ring.State(docStart); name != k1.ID || ring.Ref(docStart, "D", "P", "1")[:8] != k0.ID {
			t.Errorf("the keys in force are now %s", name)
		}
		if ring, err = OpenDocKeyring(dir, id); err != nil {
			t.Fatal(err)
		}
	}
}

// A file that was tampered with, or is another central's, leaves the keys of
// the bundle, and says so.
func TestDocKeysFileDamaged(t *testing.T) {
	k0 := month(0)
	id, dir, send := docKiosk(t, "k1", setAt(0, k0))
	c := send(setAt(10, month(0)))
	c.Sealed[50] ^= 1
	data, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"altered": data, "no JSON": []byte("junk"), "empty": nil} {
		if err := os.WriteFile(filepath.Join(dir, fileDocKeys), content, 0o600); err != nil {
			t.Fatal(err)
		}
		ring, err := OpenDocKeyring(dir, id)
		if err == nil || !strings.Contains(err.Error(), fileDocKeys) {
			t.Errorf("%s: %v", name, err)
		}
		if r := ring.Ref(docStart, "D", "P", "1"); r != k0.Ref("D", "P", "1") {
			t.Errorf("%s: reference %q", name, r)
		}
	}
}

// A bundle from before has one key that never ends: it is read and its key not
// used.
func TestDocKeysOfOlderBundle(t *testing.T) {
	id, dir, send := docKiosk(t, "k1", nil)
	ring, err := OpenDocKeyring(dir, id)
	if err != nil {
		t.Fatal(err)
	}
	if r := ring.Ref(docStart, "D", "P", "1"); r != "" {
		t.Errorf("a reference without a key: %q", r)
	}
	if err := ring.Take(send(setAt(0, month(0)))); err != nil || ring.Ref(docStart, "D", "P", "1") == "" {
		t.Errorf("the first keys: %v", err)
	}
	key, _ := testKey(2)
	b := Bundle{V: bundleOneKey, Kiosk: "k1"}
	b.Sign(key)
	b.V = BundleVersion
	if ed25519.Verify(b.AckKey, b.signed(), b.Sig) {
		t.Error("a bundle of the older version passes for a newer one")
	}
}
