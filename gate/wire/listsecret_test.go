package wire

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// listKiosk is an enrolled kiosk with an empty identity folder, and the way by
// which central would bring it list secrets.
func listKiosk(t *testing.T, name string) (*Identity, string, func(day int, s ...ListSecret) *Command) {
	t.Helper()
	keys, err := NewKioskKeys(name)
	if err != nil {
		t.Fatal(err)
	}
	ack, pub := testKey(2)
	send := func(day int, s ...ListSecret) *Command {
		set := &ListSecretSet{Issued: docStart.Add(time.Duration(day) * 24 * time.Hour), Secrets: s}
		c, err := set.Command(name, keys.SealPub.Bytes(), ack)
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
	return &Identity{Name: name, AckKey: pub, seal: keys.Seal, sealPub: keys.SealPub}, t.TempDir(), send
}

func listSecret(airport string, generation uint32) ListSecret {
	return ListSecret{Airport: airport, Generation: generation, Began: docStart, Content: bytes.Repeat([]byte{byte(generation), 0xA5}, 60)}
}

func openRing(t *testing.T, dir string, id *Identity) *ListSecretRing {
	t.Helper()
	r, err := OpenListSecrets(dir, id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func finds(t *testing.T, r *ListSecretRing, airport string, generation uint32, want bool) {
	t.Helper()
	got, err := r.Find(generation, airport)
	if err != nil || want != bytes.Equal(got, listSecret("", generation).Content) || !want && got != nil {
		t.Errorf("generation %d of %q: %d bytes, %v; want %v", generation, airport, len(got), err, want)
	}
}

// Secrets come, are there after a restart, and go when central takes them away;
// those brought by hand stay. Nothing of them lies on the disk in clear.
func TestListSecretsOnAKiosk(t *testing.T) {
	id, dir, send := listKiosk(t, "k1")
	r := openRing(t, dir, id)
	finds(t, r, "SGN", 1, false)
	if r.Name() != "" {
		t.Errorf("a name of nothing: %q", r.Name())
	}
	if err := r.Take(send(1, listSecret("SGN", 1), listSecret("", 2))); err != nil {
		t.Fatal(err)
	}
	if err := r.Keep(listSecret("", 7)); err != nil {
		t.Fatal(err)
	}
	name := r.Name()
	for range 2 {
		finds(t, r, "SGN", 1, true)
		finds(t, r, "", 1, true) // a list that names no airport
		finds(t, r, "HAN", 1, false)
		finds(t, r, "HAN", 2, true)
		finds(t, r, "SGN", 7, true)
		r = openRing(t, dir, id) // a restart
		if r.Name() != name || name == "" {
			t.Errorf("name %q, then %q", name, r.Name())
		}
	}
	if err := r.Take(send(2, listSecret("", 2))); err != nil {
		t.Fatal(err)
	}
	finds(t, r, "SGN", 1, false)
	finds(t, r, "SGN", 7, true)
	if r.Name() == name {
		t.Error("another set has the same name")
	}
	for i := range uint32(6) {
		s := listSecret("", 20+i)
		s.Began = docStart.Add(time.Duration(i) * time.Hour)
		if err := r.Keep(s); err != nil {
			t.Fatal(err)
		}
	}
	finds(t, r, "", 7, false) // room for four, the newest
	finds(t, r, "", 25, true)
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		info, _ := os.Stat(f)
		if err != nil || info.Mode().Perm() != 0o600 || bytes.Contains(text, listSecret("", 2).Content[:8]) {
			t.Errorf("%s: mode %v, %v", f, info.Mode(), err)
		}
	}
}

func TestListSecretsRefused(t *testing.T) {
	id, dir, send := listKiosk(t, "k1")
	other, _, sendOther := listKiosk(t, "k2")
	r := openRing(t, dir, id)
	if err := r.Take(send(5, listSecret("", 1))); err != nil {
		t.Fatal(err)
	}
	forger, _ := testKey(3)
	forged := send(6, listSecret("", 2))
	forged.Sig = ed25519.Sign(forger, forged.signed())
	renamed := sendOther(6, listSecret("", 2))
	renamed.Kiosk = "k1"
	ack, _ := testKey(2)
	misdirected := *renamed // signed by central for this kiosk, sealed to another
	if err := misdirected.Sign(ack); err != nil {
		t.Fatal(err)
	}
	dated := send(6, listSecret("", 2)) // an old set in a new command
	dated.Sealed, dated.Issued = send(3, listSecret("", 2)).Sealed, docStart.Add(9*24*time.Hour)
	if err := dated.Sign(ack); err != nil {
		t.Fatal(err)
	}
	wrong := send(6, listSecret("", 2))
	wrong.Kind = CommandDocKeys
	if err := wrong.Sign(ack); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*Command{"forged": forged, "renamed": renamed, "another kiosk's": sendOther(6), "sealed to another": &misdirected, "dated": dated, "of another kind": wrong} {
		if err := r.Take(c); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := r.Take(send(4, listSecret("", 3))); !errors.Is(err, ErrOld) {
		t.Errorf("older: %v", err)
	}
	if err := r.Take(send(5, listSecret("", 3))); !errors.Is(err, ErrOld) {
		t.Errorf("another of the same time: %v", err)
	}
	if err := r.Take(send(5, listSecret("", 1))); err != nil {
		t.Errorf("a repeat: %v", err)
	}
	finds(t, r, "", 1, true)
	finds(t, r, "", 2, false)
	if got, err := openListSecrets("k1", other.seal, send(1, listSecret("", 1)).Sealed); err == nil {
		t.Errorf("another kiosk's key opens %d secrets", len(got.Secrets))
	}
	for name, set := range map[string]ListSecretSet{
		"too many":      {Secrets: slices.Repeat([]ListSecret{listSecret("", 1)}, MaxListSecrets+1)},
		"no generation": {Secrets: []ListSecret{listSecret("", 0)}},
		"airport":       {Secrets: []ListSecret{listSecret("sgn", 1)}},
		"empty":         {Secrets: []ListSecret{{Generation: 1}}},
	} {
		if _, err := set.Seal("k1", id.sealPub.Bytes()); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	full := make([]ListSecret, MaxListSecrets)
	for i := range full {
		full[i] = ListSecret{Airport: "SGN", Generation: 1 << 31, Began: docStart, Content: make([]byte, maxListSecret)}
	}
	if err := r.Take(send(7, full...)); err != nil {
		t.Errorf("as many as there may be: %v", err)
	}
}

// Where the kiosk's key cannot be used nothing opens, and what central sends is
// written down for when it can again.
func TestListSecretsWithoutTheKey(t *testing.T) {
	id, dir, send := listKiosk(t, "k1")
	bare := *id
	bare.seal = nil
	r := openRing(t, dir, &bare)
	if err := r.Take(send(1, listSecret("", 1))); err != nil {
		t.Fatal(err)
	}
	if err := r.Take(send(0, listSecret("", 9))); !errors.Is(err, ErrOld) {
		t.Errorf("older: %v", err)
	}
	if got, err := r.Find(1, ""); got != nil || !errors.Is(err, ErrNoSealKey) {
		t.Errorf("opened %d bytes, %v", len(got), err)
	}
	if err := r.Keep(listSecret("", 4)); err != nil {
		t.Errorf("a secret by hand is sealed to the public half: %v", err)
	}
	if r, err := OpenListSecrets(dir, &bare); !errors.Is(err, ErrNoSealKey) || r == nil {
		t.Errorf("opened anew: %v", err)
	}
	r = openRing(t, dir, id)
	finds(t, r, "", 1, true)
	for _, f := range []string{fileListSecrets, fileOwnSecrets} {
		if err := os.WriteFile(filepath.Join(dir, f), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := OpenListSecrets(dir, id)
	if err == nil || !strings.Contains(err.Error(), fileListSecrets) {
		t.Errorf("a damaged file: %v", err)
	}
	if err := errors.Join(r.Take(send(2, listSecret("", 1))), r.Keep(listSecret("", 4))); err != nil {
		t.Errorf("after damage: %v", err)
	}
	finds(t, r, "", 1, true)
	finds(t, r, "", 4, true)
}

// The seal key may lie elsewhere: the rest of the identity works without it.
func TestSealKeyElsewhere(t *testing.T) {
	keys, err := NewKioskKeys("k1")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "identity")
	if err := keys.Save(dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, fileSeal))
	if err != nil || !SealInClear(dir) {
		t.Fatal(err)
	}
	if err := errors.Join(keys.HideSeal(dir), keys.HideSeal(dir)); err != nil || SealInClear(dir) {
		t.Fatal(err)
	}
	bare, err := LoadKioskKeys(dir)
	if err != nil || bare.Seal != nil {
		t.Fatal(err)
	}
	a, err := keys.Request(docStart)
	if err != nil {
		t.Fatal(err)
	}
	b, err := bare.Request(docStart)
	if err != nil || !bytes.Equal(a.SealKey, b.SealKey) {
		t.Errorf("a second request has another key: %v", err)
	}
	key, err := ParseSealPrivate(text)
	if err == nil {
		err = bare.UseSeal(key)
	}
	if err != nil || !bare.Seal.Equal(keys.Seal) {
		t.Errorf("the key is not taken back: %v", err)
	}
	stranger, err := NewKioskKeys("k2")
	if err != nil {
		t.Fatal(err)
	}
	if err := bare.UseSeal(stranger.Seal); err == nil {
		t.Error("another kiosk's key is taken")
	}
	for _, text := range []string{"", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if _, err := ParseSealPrivate([]byte(text)); err == nil {
			t.Errorf("%q is a key", text)
		}
	}
	if err := os.Remove(filepath.Join(dir, fileSealPub)); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKioskKeys(dir); err == nil {
		t.Error("without either half it has keys")
	}
}
