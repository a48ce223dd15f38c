package modp

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"math/big"
	"testing"
)

// TestTable proves the constants: primes, and generators of prime order.
func TestTable(t *testing.T) {
	for id, bits := range [][2]int{{1024, 160}, {2048, 224}, {2048, 256}} {
		k, ok := ByID(id)
		if !ok {
			t.Fatalf("no group %d", id)
		}
		if k.P.BitLen() != bits[0] || k.Q.BitLen() != bits[1] || !k.P.ProbablyPrime(0) || !k.Q.ProbablyPrime(0) {
			t.Errorf("%s: not two primes of %v bits", k.Name, bits)
		}
		if new(big.Int).Mod(new(big.Int).Sub(k.P, one()), k.Q).Sign() != 0 || !k.Valid(k.G) {
			t.Errorf("%s: the generator is not of order q", k.Name)
		}
		for _, q := range []*big.Int{nil, k.Q} {
			if found, ok := ByParameters(k.P, k.G, q); !ok || found != k {
				t.Errorf("%s is not found by its parameters", k.Name)
			}
		}
	}
	if _, ok := ByID(3); ok {
		t.Error("group 3 is reserved")
	}
}

func TestAgreement(t *testing.T) {
	for id := range 3 {
		k, _ := ByID(id)
		ax, ay, err := k.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		bx, by, err := k.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		a, errA := k.Shared(ax, by)
		b, errB := k.Shared(bx, ay)
		if errA != nil || errB != nil || !bytes.Equal(a, b) || len(a) != k.Size() {
			t.Errorf("%s: %v %v", k.Name, errA, errB)
		}
		back, err := k.Unmarshal(k.Marshal(ay))
		if err != nil || back.Cmp(ay) != 0 {
			t.Errorf("%s: %v", k.Name, err)
		}
	}
}

func TestRefused(t *testing.T) {
	k, _ := ByID(0)
	pred := new(big.Int).Sub(k.P, one())
	for what, y := range map[string]*big.Int{
		"nothing": nil, "0": new(big.Int), "1": one(), "p-1": pred, "p": k.P, "p+g": new(big.Int).Add(k.P, k.G), "outside the subgroup": big.NewInt(2), "negative": big.NewInt(-5),
	} {
		if k.Valid(y) {
			t.Errorf("%s is no public value", what)
		}
		if _, err := k.Shared(big.NewInt(3), y); !errors.Is(err, ErrValue) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := k.Unmarshal(append([]byte{0}, k.Marshal(k.G)...)); !errors.Is(err, ErrValue) {
		t.Errorf("a value that is too wide: %v", err)
	}
	if k.Marshal(new(big.Int).Lsh(k.P, 8)) != nil {
		t.Error("a number that does not fit is encoded")
	}
	if _, _, err := k.GenerateKey(bytes.NewReader(nil)); !errors.Is(err, io.EOF) {
		t.Errorf("no random source: %v", err)
	}
	if _, _, err := k.GenerateKey(zeros{}); err == nil {
		t.Error("zero is a private key")
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestNew(t *testing.T) {
	k, _ := ByID(1)
	if got, err := New(k.P, k.G, nil); err != nil || got != k {
		t.Errorf("numbered parameters: %v", err)
	}
	four := k.Exp(k.G, big.NewInt(4)) // another generator of the same group
	own, err := New(k.P, four, k.Q)
	if err != nil || own.ID != -1 || own.Name != "MODP-2048" {
		t.Fatalf("%+v %v", own, err)
	}
	if _, err := New(k.P, four, nil); err != nil {
		t.Errorf("without q: %v", err)
	}
	if own, err = New(k.P, four, new(big.Int).Rsh(k.P, 1)); err != nil || own.Q != nil {
		t.Errorf("a q of a safe prime: %+v %v", own, err)
	}
	x, y, err := own.GenerateKey(rand.Reader)
	if err != nil || x.BitLen() > maxOrder || !own.Valid(y) {
		t.Errorf("a key where q is unknown: %v", err)
	}
	small := new(big.Int).Rsh(k.P, 1100)
	for what, c := range map[string][3]*big.Int{
		"small": {small.SetBit(small, 0, 1), big.NewInt(4), nil}, "even": {new(big.Int).Lsh(k.P, 1), k.G, nil},
		"huge": {new(big.Int).SetBit(one(), 4096, 1), k.G, nil}, "generator of another order": {k.P, big.NewInt(2), k.Q},
		"no modulus": {nil, k.G, nil}, "tiny subgroup": {k.P, four, big.NewInt(3)}, "generator 1": {k.P, one(), nil},
	} {
		if _, err := New(c[0], c[1], c[2]); !errors.Is(err, ErrGroup) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
