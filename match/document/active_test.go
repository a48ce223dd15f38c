package document

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"testing"

	"gateagent/gate"
	"gateagent/internal/ber"
	"gateagent/internal/ec"
	"gateagent/match/document/lds"
	"gateagent/match/document/pki"
	"gateagent/sim/chip"
	"gateagent/sim/doc"
)

var challenge = []byte{1, 2, 3, 4, 5, 6, 7, 8}

// The worked example prints the message representative but no key.
func TestActiveExample(t *testing.T) {
	var v struct{ Challenge, M1, Digest, Representative string }
	if err := json.Unmarshal(must[[]byte](t)(os.ReadFile("testdata/active_rsa.json")), &v); err != nil {
		t.Fatal(err)
	}
	unhex := func(s string) []byte { return must[[]byte](t)(hex.DecodeString(s)) }
	f, rnd := unhex(v.Representative), unhex(v.Challenge)
	if err := checkRepresentative(f, rnd); err != nil {
		t.Errorf("the published example: %v", err)
	}
	m1, partial, err := stripHeader(f[:len(f)-21])
	if err != nil || !partial || !bytes.Equal(m1, unhex(v.M1)) {
		t.Errorf("recovered %X, %v, %v", m1, partial, err)
	}
	if got := pki.Sum(crypto.SHA1, m1, rnd); !bytes.Equal(got, unhex(v.Digest)) {
		t.Errorf("digest %X", got)
	}
	rnd[7] ^= 1
	if checkRepresentative(f, rnd) == nil {
		t.Error("another challenge passes")
	}
}

// sign makes an ISO 9796-2 signature the chip's way.
func sign(t *testing.T, key *rsa.PrivateKey, h crypto.Hash, trailer []byte, full, small bool, rnd []byte) []byte {
	t.Helper()
	k := key.N.BitLen() / 8
	f := make([]byte, k)
	body := f[1 : k-h.Size()-len(trailer)]
	if _, err := rand.Read(body); err != nil {
		t.Fatal(err)
	}
	f[0] = 0x6A
	message := append(clone(body), rnd...)
	if full {
		f[0] = 0x4B // two bytes of padding
		body[0], body[1] = 0xBB, 0xBA
		copy(body[len(body)-len(rnd):], rnd)
		message = body[2:]
	}
	copy(f[k-h.Size()-len(trailer):], pki.Sum(h, message))
	copy(f[k-len(trailer):], trailer)
	s := new(big.Int).Exp(new(big.Int).SetBytes(f), key.D, key.N)
	if other := new(big.Int).Sub(key.N, s); small == (other.Cmp(s) < 0) {
		s = other
	}
	return s.FillBytes(make([]byte, k))
}

func TestActiveRSA(t *testing.T) {
	priv := must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 1536))
	key := &pki.PublicKey{N: priv.N, E: big.NewInt(int64(priv.E))}
	for h, trailer := range map[crypto.Hash][]byte{
		crypto.SHA1: {0xBC}, crypto.SHA224: {0x38, 0xCC}, crypto.SHA256: {0x34, 0xCC},
		crypto.SHA384: {0x36, 0xCC}, crypto.SHA512: {0x35, 0xCC},
	} {
		for _, full := range []bool{false, true} {
			for _, small := range []bool{false, true} {
				s := sign(t, priv, h, trailer, full, small, challenge)
				if err := verifyISO9796(key, challenge, s); err != nil {
					t.Errorf("%v full=%v small=%v: %v", h, full, small, err)
				}
				if verifyISO9796(key, []byte("12345678"), s) == nil {
					t.Errorf("%v full=%v: another challenge passes", h, full)
				}
				s[20] ^= 1
				if verifyISO9796(key, challenge, s) == nil {
					t.Errorf("%v full=%v: an altered answer passes", h, full)
				}
			}
		}
	}
	s := sign(t, priv, crypto.SHA1, []byte{0x33, 0xCC}, false, false, challenge)
	if err := verifyISO9796(key, challenge, s); err != nil {
		t.Errorf("SHA-1 with the long trailer: %v", err)
	}
	s = sign(t, priv, crypto.SHA1, []byte{0x31, 0xCC}, false, false, challenge)
	if err := verifyISO9796(key, challenge, s); !errors.Is(err, pki.ErrUnsupported) {
		t.Errorf("unknown hash: %v", err)
	}
	for _, bad := range [][]byte{nil, s[1:], append([]byte{0}, s...), bytes.Repeat([]byte{0xFF}, len(s)), make([]byte, len(s))} {
		if verifyISO9796(key, challenge, bad) == nil {
			t.Errorf("%d bytes of nonsense pass", len(bad))
		}
	}
}

func TestActiveECDSA(t *testing.T) {
	for _, name := range []string{"P-256", "brainpoolP384r1", "P-521"} {
		curve, _ := ec.ByName(name)
		d, q, err := curve.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		k := &docCase{sod: gate.Successful, aaKey: &pki.PublicKey{Curve: curve, Point: q}}
		r, s, err := curve.Sign(rand.Reader, d, pki.Sum(crypto.SHA256, challenge))
		if err != nil {
			t.Fatal(err)
		}
		plain := append(r.FillBytes(make([]byte, curve.Size())), s.FillBytes(make([]byte, curve.Size()))...)
		der := ber.Make(ber.Sequence, ber.Make(ber.Integer, append([]byte{0}, r.Bytes()...)), ber.Make(ber.Integer, append([]byte{0}, s.Bytes()...)))
		for _, c := range []struct {
			stated string
			want   gate.Result
			code   gate.Code
		}{
			{"", gate.Successful, 0},
			{"0.4.0.127.0.7.1.1.4.1.3", gate.Successful, 0},
			{"1.2.840.10045.4.3.2", gate.Successful, 0},
			{"0.4.0.127.0.7.1.1.4.1.1", gate.Failed, gate.CodeProofWrong},
			{"1.2.840.113549.1.1.11", gate.Undetermined, gate.CodeProofAlgorithm}, // no such key makes it
			{"1.2.3.4", gate.Undetermined, gate.CodeProofAlgorithm},
		} {
			k.infos = &lds.SecurityInfos{ActiveAuth: c.stated}
			for _, sig := range [][]byte{plain, der} {
				if got := k.ActiveAuth(challenge, sig); got.Result != c.want || got.Code != c.code {
					t.Errorf("%s, stated %q: %v", name, c.stated, got)
				}
			}
		}
		k.infos = nil
		for _, bad := range [][]byte{nil, {0}, plain[:len(plain)-1], make([]byte, len(plain)), append([]byte{plain[0] ^ 1}, plain[1:]...)} {
			if got := k.ActiveAuth(challenge, bad); got.Result != gate.Failed {
				t.Errorf("%s: %d bytes of nonsense: %v", name, len(bad), got)
			}
		}
		k.sod = gate.Undetermined
		if got := k.ActiveAuth(challenge, plain); got.Result != gate.Undetermined || got.Code != gate.CodeProofUnproven {
			t.Errorf("unproven key: %v", got)
		}
	}
}

// The simulated chip answers, and its clone.
func TestActiveAuthOfChip(t *testing.T) {
	w, j := world(), trusting(t, "VNM")
	for _, alg := range []doc.Algorithm{{RSA: 1024, Hash: crypto.SHA1}, {RSA: 1024, Hash: crypto.SHA256}, {Curve: "brainpoolP256r1", Hash: crypto.SHA256}, {Curve: "P-384", Hash: crypto.SHA384}} {
		d := must[*doc.Document](t)(w.VietnamID(holder, doc.ActiveAuthWith(alg)))
		k := j.NewCase(now)
		if got := k.ActiveAuth(challenge, nil); got.Result != gate.Undetermined {
			t.Errorf("nothing read: %v", got)
		}
		read(k, d, gate.Scan{}).expect(t, "integrity.dg14=S integrity.dg15=S")
		active := d.ChipConfig().Active
		var answer []byte
		if active.N != nil {
			f := make([]byte, active.N.BitLen()/8)
			f[0] = 0x6A
			trailer := []byte{0xBC}
			if alg.Hash == crypto.SHA256 {
				trailer = []byte{0x34, 0xCC}
			}
			end := len(f) - len(trailer)
			copy(f[end-alg.Hash.Size():], pki.Sum(alg.Hash, f[1:end-alg.Hash.Size()], challenge))
			copy(f[end:], trailer)
			answer = new(big.Int).Exp(new(big.Int).SetBytes(f), active.D, active.N).FillBytes(f)
		} else {
			r, s, err := active.Curve.Sign(rand.Reader, active.D, pki.Sum(alg.Hash, challenge))
			if err != nil {
				t.Fatal(err)
			}
			n := active.Curve.Size()
			answer = append(r.FillBytes(make([]byte, n)), s.FillBytes(make([]byte, n))...)
		}
		if got := k.ActiveAuth(challenge, answer); got.Result != gate.Successful || got.Code != 0 {
			t.Errorf("%v: %v", alg, got)
		}
		if got := k.ActiveAuth([]byte("another!"), answer); got.Result != gate.Failed || got.Code != gate.CodeProofWrong {
			t.Errorf("%v, replayed: %v", alg, got)
		}
		if got := k.ActiveAuth(nil, answer); got.Result != gate.Undetermined {
			t.Errorf("%v, no challenge: %v", alg, got)
		}
		if d.File(chip.FileDG(15)) == nil {
			t.Error("no DG15")
		}
	}
}
