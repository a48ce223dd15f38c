package chip

import (
	"bytes"
	"crypto"
	"math/big"
	"testing"

	"gateagent/internal/ec"
	"gateagent/internal/modp"
)

// opened is a chip with these keys on which access was granted.
func opened(cfg Config) *Chip {
	c := New(cfg)
	c.state.access = true
	return c
}

// Keys are chosen by protocol and identifier, and only by these.
func TestKeyChoice(t *testing.T) {
	p256, _ := ec.ByName("P-256")
	group, _ := modp.ByID(0)
	key := func(c Cipher, id int) ChipKey {
		return ChipKey{Cipher: c, Curve: p256, Private: big.NewInt(7), ID: id}
	}
	dh := ChipKey{Cipher: AES128, Group: group, Private: big.NewInt(7)}
	kat := key(TripleDES, 0)
	kat.KAT = true
	const ecdh, dhAES = "0022" + "41a4" + "0c" + "800a04007f00070202030202", "0022" + "41a4" + "0c" + "800a04007f00070202030102"
	withID := func(id string) string { return "002241a40f" + "800a04007f00070202030202" + "8401" + id }
	for name, c := range map[string]struct {
		keys []ChipKey
		line [2]string
	}{
		"the only key":               {[]ChipKey{key(AES128, 5)}, [2]string{ecdh, "9000"}},
		"by id":                      {[]ChipKey{key(AES128, 5), key(AES128, 6)}, [2]string{withID("06"), "9000"}},
		"two keys, no id":            {[]ChipKey{key(AES128, 5), key(AES128, 6)}, [2]string{ecdh, "6a88"}},
		"wrong id":                   {[]ChipKey{key(AES128, 5)}, [2]string{withID("07"), "6a88"}},
		"no such cipher":             {[]ChipKey{key(AES256, 5)}, [2]string{ecdh, "6a80"}},
		"no such agreement":          {[]ChipKey{dh}, [2]string{ecdh, "6a80"}},
		"DH":                         {[]ChipKey{dh}, [2]string{dhAES, "9000"}},
		"KAT only, MSE:Set AT":       {[]ChipKey{kat}, [2]string{"002241a40c800a04007f00070202030201", "6a80"}},
		"KAT with a bad point":       {[]ChipKey{kat}, [2]string{"002241a6" + "0491020400", "6a80"}},
		"KAT where there is no 3DES": {[]ChipKey{key(AES128, 0)}, [2]string{"002241a6" + "0491020400", "6a80"}},
	} {
		t.Run(name, func(t *testing.T) { conversation(t, opened(Config{ChipKeys: c.keys}), [][2]string{c.line}) })
	}
}

// A chip that counts wrong passwords says how many are left, and takes none
// when none is.
func TestTries(t *testing.T) {
	c := New(Config{Quirks: Quirks{Tries: 3}})
	for _, want := range []uint16{0x63C2, 0x63C1, 0x63C0, 0x63C0} {
		if got := c.rejected(); got != want {
			t.Errorf("%04X, not %04X", got, want)
		}
		c.Reset()
	}
	p256, _ := ec.ByName("P-256")
	c.cfg.CAN, c.cfg.PACE = "123456", []PACE{{Cipher: AES128, Curve: p256, ID: 12}}
	conversation(t, c, [][2]string{{"0022c1a40f800a04007f00070202040202830102", "63c0"}, {"10860000027c0000", "6985"}})
}

// EF.CardSecurity is there only for whom PACE has let in.
func TestCardSecurityIsLocked(t *testing.T) {
	p256, _ := ec.ByName("P-256")
	cfg := Config{
		MasterFiles: map[uint16][]byte{FileCardAccess: {0x31, 0}, FileCardSecurity: {0x30, 0}},
		PACE:        []PACE{{Cipher: AES128, Curve: p256, ID: 12}},
	}
	conversation(t, New(cfg), [][2]string{{"00a4020c02011d", "6982"}, {"00b09d0000", "6982"}, {"00a4020c02011c", "9000"}})
	conversation(t, opened(cfg), [][2]string{{"00a4020c02011d", "9000"}, {"00b0000000", "30009000"}})
}

// Every form of the signature of RSA opens to what its form says.
func TestActiveForms(t *testing.T) {
	// The largest prime below 2^512 twice over would be no key, so two.
	below := func(k int64) *big.Int {
		return new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 512), big.NewInt(k))
	}
	p, q := below(569), below(629)
	if !p.ProbablyPrime(20) || !q.ProbablyPrime(20) {
		t.Fatal("test primes are not prime")
	}
	one, e := big.NewInt(1), big.NewInt(65537)
	n := new(big.Int).Mul(p, q)
	d := new(big.Int).ModInverse(e, new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)))
	challenge := []byte{1, 2, 3, 4, 5, 6, 7, 8}
	for _, form := range []ActiveForm{{}, {Full: true}, {Padded: true}, {Full: true, Padded: true}, {Explicit: true}, {Lesser: true}} {
		for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
			k := ActiveKey{N: n, D: d, Hash: h, ActiveForm: form}
			sig, err := k.signRSA(New(Config{Seed: 3}).random, challenge)
			if err != nil {
				t.Fatal(err)
			}
			f := new(big.Int).Exp(new(big.Int).SetBytes(sig), e, n)
			if form.Lesser && f.Bit(0) == 1 { // n - f was sent
				f.Sub(n, f)
			}
			b := f.FillBytes(make([]byte, 128))
			tail := k.trailer()
			message := b[1 : len(b)-len(tail)-h.Size()]
			if form.Padded {
				_, message, _ = bytes.Cut(message, []byte{0xBA})
			}
			w := h.New()
			w.Write(message)
			if !form.Full {
				w.Write(challenge)
			}
			if !bytes.HasSuffix(b, tail) || !bytes.Equal(w.Sum(nil), b[len(b)-len(tail)-h.Size():len(b)-len(tail)]) || form.Full != bytes.HasSuffix(message, challenge) {
				t.Errorf("%+v, %v: %X", form, h, b)
			}
		}
	}
}
