package wire

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

const sealEpoch = "000102030405060708090a0b0c0d0e0f"

func sealPair(t testing.TB, s Suite) (*OpenKey, *Opener) {
	t.Helper()
	k, err := NewOpenKey(s)
	if err != nil {
		t.Fatal(err)
	}
	text, err := k.Text()
	if err != nil {
		t.Fatal(err)
	}
	if k, err = ParseOpenKey(text); err != nil {
		t.Fatal(err)
	}
	return k, NewOpener(k)
}

func prevOf(n uint64) []byte { return BodyHash([]byte{byte(n), byte(n >> 8)}) }

// Each envelope opens by itself, in whatever order, at its own place and no
// other; whatever is altered is refused.
func TestSealed(t *testing.T) {
	for _, suite := range []Suite{SuiteX25519, SuiteHybrid} {
		t.Run(suite.String(), func(t *testing.T) {
			key, open := sealPair(t, suite)
			to, err := ParseSealKeyText(key.Public().Text())
			if err != nil || to.ID() != key.Public().ID() {
				t.Fatal(err)
			}
			s := NewSealer(to, "k1", sealEpoch, time.Now)
			plain := []byte(`{"v":1,"planted":"content"}`)
			var bodies [][]byte
			for n := uint64(1); n <= 5; n++ {
				b, err := s.Seal(n, prevOf(n), plain)
				if err != nil || !IsSealed(b) || bytes.Contains(b, []byte("planted")) || len(b) != len(plain)+to.Overhead() {
					t.Fatalf("envelope %x: %v", b, err)
				}
				bodies = append(bodies, b)
			}
			for _, n := range []uint64{5, 2, 4} { // 1 and 3 are lost
				if got, err := NewOpener(key).Open("k1", sealEpoch, n, prevOf(n), bodies[n-1]); err != nil || !bytes.Equal(got, plain) {
					t.Fatalf("result %d: %q %v", n, got, err)
				}
			}
			refused := func(what, kiosk, epoch string, n uint64, prev, body []byte, o *Opener) {
				t.Helper()
				if got, err := o.Open(kiosk, epoch, n, prev, body); !errors.Is(err, ErrUnreadable) || got != nil {
					t.Errorf("%s: %q %v", what, got, err)
				}
			}
			other, otherOpen := sealPair(t, suite)
			_ = other
			refused("another number", "k1", sealEpoch, 2, prevOf(1), bodies[0], open)
			refused("another place", "k1", sealEpoch, 1, prevOf(2), bodies[0], open)
			refused("another epoch", "k1", "ff0102030405060708090a0b0c0d0e0f", 1, prevOf(1), bodies[0], open)
			refused("another kiosk", "k2", sealEpoch, 1, prevOf(1), bodies[0], open)
			refused("another key", "k1", sealEpoch, 1, prevOf(1), bodies[0], otherOpen)
			for i := 1; i < len(bodies[0]); i++ {
				bad := bytes.Clone(bodies[0])
				bad[i] ^= 0x10
				if i < sealHead+4 || i > len(bad)-len(plain)-saltLen-25 { // of the long encapsulated key a part is enough
					refused("an altered byte", "k1", sealEpoch, 1, prevOf(1), bad, open)
				}
			}
			for _, n := range []int{1, 9, 40, len(bodies[0]) - 1} {
				refused("a shorter one", "k1", sealEpoch, 1, prevOf(1), bodies[0][:n], open)
			}
			if got, err := open.Open("k1", sealEpoch, 1, nil, plain); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("a record in clear: %q %v", got, err)
			}
		})
	}
}

// No two envelopes have the same key and nonce; a context ends after its
// results, its hour, or when the clock jumps.
func TestSealContexts(t *testing.T) {
	key, open := sealPair(t, SuiteX25519)
	now := time.Unix(1_700_000_000, 0)
	s := NewSealer(key.Public(), "k1", sealEpoch, func() time.Time { return now })
	seen, contexts := map[string]bool{}, map[string]bool{}
	take := func(n uint64) {
		t.Helper()
		b, err := s.Seal(n, prevOf(n), []byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		if seen[string(b[:sealHead+32+indexLen])] {
			t.Fatalf("result %d repeats key and nonce", n)
		}
		seen[string(b[:sealHead+32+indexLen])] = true
		contexts[string(b[:sealHead+32])] = true
		if _, err := open.Open("k1", sealEpoch, n, prevOf(n), b); err != nil {
			t.Fatal(err)
		}
	}
	for n := range uint64(ContextResults + 1) {
		take(n + 1)
	}
	if len(contexts) != 2 {
		t.Fatalf("%d contexts for %d results, want 2", len(contexts), ContextResults+1)
	}
	for i, jump := range []time.Duration{ContextAge - 1, 1, -2 * ContextAge} {
		now = now.Add(jump)
		take(uint64(i + 1))
		if want := []int{2, 3, 4}[i]; len(contexts) != want {
			t.Errorf("after %v: %d contexts, want %d", jump, len(contexts), want)
		}
	}
	if len(open.known.by) > openContexts {
		t.Errorf("%d contexts are remembered", len(open.known.by))
	}
	if _, err := s.Seal(1, prevOf(1), make([]byte, MaxBody)); !errors.Is(err, ErrFormat) {
		t.Errorf("a record that is too long: %v", err)
	}
}

// A machine that was copied while it ran goes on twice with one context: no
// two contents meet the same key. Of bodies without a salt, which earlier
// kiosks made, the like would tell their difference; they still open.
func TestSealCopiedMachine(t *testing.T) {
	key, open := sealPair(t, SuiteX25519)
	s := NewSealer(key.Public(), "k1", sealEpoch, time.Now)
	if _, err := s.Seal(1, prevOf(1), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	twin := *s
	records := [][]byte{[]byte(`{"outcome":"admit"}`), []byte(`{"outcome":"abort"}`)}
	difference := func(a, b []byte) []byte {
		out := bytes.Clone(a)
		for i := range out {
			out[i] ^= b[i]
		}
		return out
	}
	same := 0
	bodies := [][]byte{}
	for i, sealer := range []*Sealer{s, &twin} {
		b, err := sealer.Seal(2, prevOf(2), records[i])
		if err != nil {
			t.Fatal(err)
		}
		if got, err := open.Open("k1", sealEpoch, 2, prevOf(2), b); err != nil || !bytes.Equal(got, records[i]) {
			t.Fatalf("%q %v", got, err)
		}
		bodies = append(bodies, b)
	}
	const before = sealHeadX25519 + indexLen
	if !bytes.Equal(bodies[0][:before], bodies[1][:before]) {
		t.Fatal("the twin has another context or index; the test proves nothing")
	}
	from, to := before+saltLen, before+saltLen+len(records[0])
	for i, d := range difference(bodies[0][from:to], bodies[1][from:to]) {
		if d == records[0][i]^records[1][i] {
			same++
		}
	}
	if same > len(records[0])/2 {
		t.Errorf("%d of %d bytes tell the difference of the records", same, len(records[0]))
	}
}

// sealHeadX25519 is what stands before the index.
const sealHeadX25519 = sealHead + 32

// unsaltedBody is one as kiosks made them before there was a salt.
const unsaltedBody = "010150d53708a54c26b94b629eed9700d7eefabf83284e25cdbfbf5a20634e0ea7706311ef0f3525230200000000e3d17ae86a199655fc7fd3f1ff0222dd6fdcc8f634c847"

func TestUnsaltedStillOpens(t *testing.T) {
	k, err := ParseOpenKey("x25519 " + strings.Repeat("5a", 32))
	if err != nil {
		t.Fatal(err)
	}
	body, err := hex.DecodeString(unsaltedBody)
	if err != nil || !IsSealed(body) {
		t.Fatal(err)
	}
	if got, err := NewOpener(k).Open("k1", sealEpoch, 7, prevOf(7), body); err != nil || string(got) != `{"v":1}` {
		t.Fatalf("%q %v", got, err)
	}
	body[0] = formSealed
	if _, err := NewOpener(k).Open("k1", sealEpoch, 7, prevOf(7), body); !errors.Is(err, ErrUnreadable) {
		t.Errorf("taken for another form: %v", err)
	}
}

func TestSealKeyForms(t *testing.T) {
	key, _ := sealPair(t, SuiteHybrid)
	for _, bad := range [][]byte{nil, {9}, {1}, append([]byte{2}, make([]byte, 32)...), key.Public().Bytes()[:100]} {
		if _, err := ParseSealKey(bad); err == nil {
			t.Errorf("%x is taken for a key", bad)
		}
	}
	for _, bad := range []string{"", "x25519", "x25519 zz", "rsa 00", "x25519-mlkem768 00"} {
		if _, err := ParseOpenKey(bad); err == nil {
			t.Errorf("%q is taken for a private key", bad)
		}
	}
}

func TestBundleWithoutSealingKey(t *testing.T) {
	if _, err := ParseBundle([]byte(`{"v":1,"kiosk":"k1"}`)); err == nil || !strings.Contains(err.Error(), "gatectl kiosk renew") {
		t.Errorf("an older bundle: %v", err)
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := Bundle{V: BundleVersion, Kiosk: "k1", Broker: []string{"tls://h:1"}}
	b.Sign(key)
	data, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseBundle(data); err == nil || !strings.Contains(err.Error(), "sealing key") {
		t.Errorf("a bundle whose key was taken out: %v", err)
	}
}

func TestLevels(t *testing.T) {
	full := Record{Kind: KindDecision, Decision: &Decision{Outcome: OutcomeRefer, Reasons: []uint32{1}, DocRef: "r", Issuer: "D",
		FaceCheck: &FaceCheck{}, PhaseMS: map[string]int64{"a": 1},
		Checks: []Check{{ID: "a", Result: "successful"}, {ID: "b", Result: "failed"}, {ID: "c", Result: "undetermined"}, {ID: "d", Result: "not_supported"}}}}
	if got := full.AtLevel(LevelFull).Decision; len(got.Checks) != 4 || got.DocRef == "" {
		t.Errorf("full: %+v", got)
	}
	if got := full.AtLevel(LevelStandard).Decision; len(got.Checks) != 2 || got.Checks[0].ID != "b" || got.DocRef == "" || got.FaceCheck == nil {
		t.Errorf("standard: %+v", got)
	}
	got := full.AtLevel(LevelBasic).Decision
	if len(got.Checks) != 2 || got.DocRef+got.Issuer != "" || got.FaceCheck != nil || got.PhaseMS != nil || len(got.Reasons) != 1 {
		t.Errorf("basic: %+v", got)
	}
	if full.Decision.DocRef == "" || len(full.Decision.Checks) != 4 {
		t.Error("the record itself was changed")
	}
	full.Decision.CloneUnproven = true
	if full.AtLevel(LevelBasic).Decision.FaceCheck == nil {
		t.Error("an admission by face without its face step")
	}
}

func BenchmarkSeal(b *testing.B) {
	key, _ := sealPair(b, SuiteX25519)
	s, rec, prev := NewSealer(key.Public(), "k1", sealEpoch, time.Now), make([]byte, 2500), prevOf(1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Seal(1, prev, rec); err != nil {
			b.Fatal(err)
		}
	}
}

// An Opener may be told not to make more key agreements; those who open by a
// context that is known, or ask another one, are not kept waiting by it.
func TestOpenerAsks(t *testing.T) {
	key, open := sealPair(t, SuiteX25519)
	first := NewSealer(key.Public(), "k1", sealEpoch, time.Now)
	body := func(s *Sealer, n uint64) []byte {
		t.Helper()
		b, err := s.Seal(n, prevOf(n), []byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	asked, may := 0, true
	asking := open.Asking(func() bool {
		asked++
		if _, err := open.Open("k1", sealEpoch, 9, prevOf(9), body(first, 9)); err != nil {
			t.Error(err)
		}
		return may
	})
	for n := range uint64(3) {
		if _, err := asking.Open("k1", sealEpoch, n, prevOf(n), body(first, n)); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times for one context", asked)
	}
	may = false
	second := NewSealer(key.Public(), "k1", sealEpoch, time.Now)
	b := body(second, 4)
	if _, err := asking.Open("k1", sealEpoch, 4, prevOf(4), b); !errors.Is(err, ErrUnreadable) || asked != 2 {
		t.Errorf("one that it may not derive: %v", err)
	}
	if _, err := open.Open("k1", sealEpoch, 4, prevOf(4), b); err != nil {
		t.Error(err)
	}
	if _, err := asking.Open("k1", sealEpoch, 4, prevOf(4), b); err != nil || asked != 2 {
		t.Errorf("asked %d times for what is known by now: %v", asked, err)
	}
}
