package wire

import (
	"errors"
	"testing"
	"time"
)

// answered is a question of the test's kiosk and central's answer, both as
// they travelled.
func answered(t *testing.T) (*TimeQuestion, *SignedTime) {
	t.Helper()
	kiosk, kioskPub := testKey(1)
	central, _ := testKey(2)
	made, err := NewTimeQuestion(testKiosk, kiosk)
	if err != nil {
		t.Fatal(err)
	}
	data, err := made.Encode()
	if err != nil {
		t.Fatal(err)
	}
	q, err := DecodeTimeQuestion(data)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Verify(kioskPub); err != nil {
		t.Fatal(err)
	}
	a, err := q.Answer(time.Date(2026, 11, 21, 8, 0, 0, 123456789, time.UTC), central)
	if err != nil {
		t.Fatal(err)
	}
	if data, err = a.Encode(); err != nil {
		t.Fatal(err)
	}
	if a, err = DecodeSignedTime(data); err != nil {
		t.Fatal(err)
	}
	return q, a
}

func TestSignedTime(t *testing.T) {
	_, central := testKey(2)
	q, a := answered(t)
	if err := a.Verify(central, q); err != nil {
		t.Fatal(err)
	}
	if !a.Time.Equal(time.Date(2026, 11, 21, 8, 0, 0, 123000000, time.UTC)) {
		t.Errorf("time %v", a.Time)
	}
	other, _ := answered(t)
	if string(other.Nonce) == string(q.Nonce) {
		t.Error("two questions have the same nonce")
	}
	if err := a.Verify(central, other); !errors.Is(err, ErrStale) {
		t.Errorf("a replayed answer: %v", err)
	}
	if err := a.Verify(central, nil); !errors.Is(err, ErrStale) {
		t.Errorf("an answer that nobody asked for: %v", err)
	}
	_, kiosk := testKey(1)
	if err := a.Verify(kiosk, q); !errors.Is(err, ErrSignature) {
		t.Errorf("under another key: %v", err)
	}
}

func TestSignedTimeRefused(t *testing.T) {
	_, central := testKey(2)
	for name, tc := range map[string]struct {
		change func(*SignedTime)
		want   error
	}{
		"time":                  {func(a *SignedTime) { a.Time = a.Time.Add(time.Hour) }, ErrSignature},
		"part of a millisecond": {func(a *SignedTime) { a.Time = a.Time.Add(time.Microsecond) }, ErrFormat},
		"kiosk":                 {func(a *SignedTime) { a.Kiosk = "sgn-g13" }, ErrSignature},
		"no kiosk":              {func(a *SignedTime) { a.Kiosk = "" }, ErrFormat},
		"nonce":                 {func(a *SignedTime) { a.Nonce[0] ^= 1 }, ErrSignature},
		"short nonce":           {func(a *SignedTime) { a.Nonce = a.Nonce[:16] }, ErrFormat},
		"signature":             {func(a *SignedTime) { a.Sig[0] ^= 1 }, ErrSignature},
		"version":               {func(a *SignedTime) { a.V = 2 }, ErrVersion},
		"zero value":            {func(a *SignedTime) { *a = SignedTime{} }, ErrVersion},
	} {
		q, a := answered(t)
		tc.change(a)
		if err := a.Verify(central, q); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}

// A kiosk's question must not serve as central's answer, even under one key,
// and central answers nobody but the kiosk.
func TestTimeQuestionRefused(t *testing.T) {
	key, pub := testKey(1)
	q, _ := answered(t)
	if err := (&SignedTime{V: TimeVersion, Kiosk: q.Kiosk, Nonce: q.Nonce, Time: time.UnixMilli(0), Sig: q.Sig}).Verify(pub, q); !errors.Is(err, ErrSignature) {
		t.Errorf("a question passes for an answer: %v", err)
	}
	a, err := q.Answer(time.UnixMilli(0), key)
	if err != nil {
		t.Fatal(err)
	}
	q.Sig = a.Sig
	if err := q.Verify(pub); !errors.Is(err, ErrSignature) {
		t.Errorf("an answer passes for a question: %v", err)
	}
	for name, change := range map[string]func(*TimeQuestion){
		"kiosk": func(q *TimeQuestion) { q.Kiosk = "sgn-g13" },
		"nonce": func(q *TimeQuestion) { q.Nonce[31] ^= 1 },
	} {
		q, _ := answered(t)
		change(q)
		if err := q.Verify(pub); !errors.Is(err, ErrSignature) {
			t.Errorf("%s altered: %v", name, err)
		}
	}
	if _, err := NewTimeQuestion(testKiosk, nil); err == nil {
		t.Error("a question without a key")
	}
	if _, err := q.Answer(time.Now(), nil); err == nil {
		t.Error("an answer without a key")
	}
}
