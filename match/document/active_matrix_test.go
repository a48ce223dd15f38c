package document

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"fmt"
	"math/big"
	"testing"

	"gateagent/gate"
	"gateagent/internal/ber"
	"gateagent/internal/ec"
	"gateagent/match/document/lds"
	"gateagent/match/document/pki"
)

// testRSA is a key of any size that is made in no time: its modulus is the
// product of many small primes, which the arithmetic does not mind.
type testRSA struct {
	*pki.PublicKey
	d *big.Int
}

func newTestRSA(t testing.TB, bits int) testRSA {
	t.Helper()
	const each = 128
	one, e := big.NewInt(1), big.NewInt(65537)
	for {
		n, phi := big.NewInt(1), big.NewInt(1)
		for n.BitLen() < bits {
			size := each
			if left := bits - n.BitLen(); left < 2*each {
				size = left + 1 // the last one fills the modulus
			}
			p := must[*big.Int](t)(rand.Prime(rand.Reader, size))
			n.Mul(n, p)
			phi.Mul(phi, p.Sub(p, one))
		}
		if d := new(big.Int).ModInverse(e, phi); n.BitLen() == bits && d != nil {
			return testRSA{&pki.PublicKey{N: n, E: e}, d}
		}
	}
}

func (k testRSA) open(f []byte) []byte {
	s := new(big.Int).Exp(new(big.Int).SetBytes(f), k.d, k.N)
	return s.FillBytes(make([]byte, k.N.BitLen()/8))
}

// representative builds the message representative of ISO/IEC 9796-2 from its
// parts: the header byte with padding, what is recovered, digest, trailer.
func representative(size int, h crypto.Hash, trailer, header, m1, message []byte) []byte {
	f := append(bytes.Clone(header), m1...)
	f = append(append(f, pki.Sum(h, message)...), trailer...)
	if len(f) != size {
		panic(fmt.Sprintf("%d bytes for a key of %d", len(f), size))
	}
	return f
}

func nonce(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

var hashTrailers = []struct {
	h       crypto.Hash
	trailer []byte
}{
	{crypto.SHA1, []byte{0xBC}}, {crypto.SHA1, []byte{0x33, 0xCC}}, {crypto.SHA224, []byte{0x38, 0xCC}}, {crypto.SHA256, []byte{0x34, 0xCC}},
	{crypto.SHA384, []byte{0x36, 0xCC}}, {crypto.SHA512, []byte{0x35, 0xCC}}, {crypto.SHA512_224, []byte{0x39, 0xCC}}, {crypto.SHA512_256, []byte{0x3A, 0xCC}},
}

// Every trailer, both kinds of recovery, both representatives, every size.
func TestActiveRSASizes(t *testing.T) {
	for _, bits := range []int{1024, 1280, 1536, 1792, 2048, 3072, 4096} {
		key := newTestRSA(t, bits)
		size := bits / 8
		for i, c := range hashTrailers {
			if bits > 2048 && i > 2 { // the hash has nothing to do with the size
				continue
			}
			room := size - 1 - c.h.Size() - len(c.trailer)
			m1 := nonce(room)
			whole := append(nonce(room-3-len(challenge)), challenge...)
			for name, f := range map[string][]byte{
				"partial": representative(size, c.h, c.trailer, []byte{0x6A}, m1, append(bytes.Clone(m1), challenge...)),
				"full":    representative(size, c.h, c.trailer, []byte{0x4B, 0xBB, 0xBB, 0xBA}, whole, whole),
			} {
				s := key.open(f)
				other := new(big.Int).Sub(key.N, new(big.Int).SetBytes(s)).FillBytes(make([]byte, size))
				for _, answer := range [][]byte{s, other} {
					if err := verifyISO9796(key.PublicKey, challenge, answer); err != nil {
						t.Errorf("RSA-%d %v %X %s: %v", bits, c.h, c.trailer, name, err)
					}
				}
				if err := verifyISO9796(key.PublicKey, []byte("another!"), s); err == nil || unsupported(err) {
					t.Errorf("RSA-%d %v %s, another challenge: %v", bits, c.h, name, err)
				}
			}
		}
	}
}

// What is wrong is F and never "unsupported"; only a hash function that has a
// number and is not here is U.
func TestActiveRSAWrong(t *testing.T) {
	const size = 128
	h, tr := crypto.SHA256, []byte{0x34, 0xCC}
	room := size - 1 - 32 - 2
	m1 := nonce(room)
	both := append(bytes.Clone(m1), challenge...)
	partial := func(header byte, trailer ...byte) []byte {
		return representative(size, h, trailer, []byte{header}, m1, both)
	}
	full := func(header []byte, whole []byte) []byte { return representative(size, h, tr, header, whole, whole) }
	pad := func(n int) []byte { // header and padding before n bytes of message
		b := bytes.Repeat([]byte{0xBB}, room+1-n)
		b[0], b[len(b)-1] = 0x4B, 0xBA
		return b
	}
	good := map[string][]byte{
		"partial": partial(0x6A, tr...), "only the challenge": full(pad(8), challenge), "challenge alone outside": representative(size, h, tr,
			append([]byte{0x6B}, pad(0)[1:]...), nil, challenge),
	}
	for name, f := range good {
		if err := checkRepresentative(f, challenge); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	middle := bytes.Clone(both[:room])
	copy(middle[10:], challenge)
	for name, f := range map[string][]byte{
		"trailer BD": partial(0x6A, 0x34, 0xBD), "trailer CB": partial(0x6A, 0x34, 0xCB), "BC, hash is SHA-256": partial(0x6A, 0x34, 0xBC), "other hash": partial(0x6A, 0x35, 0xCC),
		"hash of its size": partial(0x6A, 0x3A, 0xCC), "no such hash": partial(0x6A, 0x3F, 0xCC), "hash 00": partial(0x6A, 0, 0xCC), "unknown hash in noise": partial(0x9A, 0x31, 0xCC),
		"header 2A": partial(0x2A, tr...), "header AA": partial(0xAA, tr...), "header EA": partial(0xEA, tr...), "header 7A": partial(0x7A, tr...), "header 6C": partial(0x6C, tr...),
		"full for partial": partial(0x4A, tr...), "partial for full": full(append([]byte{0x6B}, pad(room - 3)[1:]...), append(nonce(room-11), challenge...)),
		"challenge in the middle": full([]byte{0x4A}, middle), "shorter than the challenge": full(pad(7), challenge[1:]), "no message": full(pad(0), nil),
		"padding without end": representative(size, h, tr, bytes.Repeat([]byte{0xBB}, room+1), nil, challenge), "padding with C": full([]byte{0x4B, 0xBC}, append(nonce(room-9), challenge...)),
		"digest of the challenge": representative(size, h, tr, []byte{0x6A}, m1, challenge), "challenge first": representative(size, h, tr, []byte{0x6A}, m1, append(bytes.Clone(challenge), m1...)),
	} {
		if err := checkRepresentative(f, challenge); err == nil || unsupported(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, id := range []byte{0x31, 0x32, 0x37} {
		if err := checkRepresentative(partial(0x6A, id, 0xCC), challenge); !unsupported(err) {
			t.Errorf("hash %02X: %v", id, err)
		}
	}
	for name, f := range good {
		for bit := range 8 * size {
			g := bytes.Clone(f)
			g[bit/8] ^= 1 << (bit % 8)
			if err := checkRepresentative(g, challenge); err == nil || unsupported(err) && bit/8 != size-2 {
				t.Fatalf("%s, bit %d turned: %v", name, bit, err)
			}
		}
	}
}

func TestActiveRSALengths(t *testing.T) {
	key := newTestRSA(t, 1024)
	m1 := nonce(106)
	s := key.open(representative(128, crypto.SHA1, []byte{0xBC}, []byte{0x6A}, m1, append(bytes.Clone(m1), challenge...)))
	big1 := new(big.Int).Add(key.N, big.NewInt(1)).FillBytes(make([]byte, 128))
	for name, answer := range map[string][]byte{
		"none": nil, "cut": s[:127], "front cut": s[1:], "zero before": append([]byte{0}, s...), "zero after": append(bytes.Clone(s), 0),
		"with the challenge": append(bytes.Clone(s), challenge...), "modulus": key.N.Bytes(), "above the modulus": big1,
		"zero": make([]byte, 128), "one": append(make([]byte, 127), 1),
	} {
		k := &docCase{sod: gate.Successful, aaKey: key.PublicKey}
		if got := k.ActiveAuth(challenge, answer); got.Result != gate.Failed || got.Code != gate.CodeProofWrong {
			t.Errorf("%s: %v", name, got)
		}
	}
	for n := range 12 {
		k := &docCase{sod: gate.Successful, aaKey: key.PublicKey}
		if got := k.ActiveAuth(make([]byte, n), s); n != 8 && got.Result != gate.Undetermined || n == 8 && got.Result != gate.Failed {
			t.Errorf("a challenge of %d bytes: %v", n, got)
		}
	}
}

// A clone answers with a key of its own. Its answers look like noise, and
// noise is F however it falls.
func TestActiveRSANoise(t *testing.T) {
	key := newTestRSA(t, 1024)
	for range 3000 {
		s := nonce(128)
		s[0] &= 0x7F
		k := &docCase{sod: gate.Successful, aaKey: key.PublicKey}
		if got := k.ActiveAuth(challenge, s); got.Result != gate.Failed {
			t.Fatalf("%v", got)
		}
	}
}

var plainOID = map[crypto.Hash]string{
	crypto.SHA1: "0.4.0.127.0.7.1.1.4.1.1", crypto.SHA224: "0.4.0.127.0.7.1.1.4.1.2", crypto.SHA256: "0.4.0.127.0.7.1.1.4.1.3",
	crypto.SHA384: "0.4.0.127.0.7.1.1.4.1.4", crypto.SHA512: "0.4.0.127.0.7.1.1.4.1.5",
}

func derSignature(r, s *big.Int) []byte {
	return ber.Make(ber.Sequence, ber.Make(ber.Integer, append([]byte{0}, r.Bytes()...)), ber.Make(ber.Integer, append([]byte{0}, s.Bytes()...)))
}

// Every standardized curve with every hash, plain and DER, stated and not.
func TestActiveECDSACurves(t *testing.T) {
	for id := 8; id <= 18; id++ {
		curve, _ := ec.ByID(id)
		d, q, err := curve.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		k := &docCase{sod: gate.Successful, aaKey: &pki.PublicKey{Curve: curve, Point: q}}
		for h, oid := range plainOID {
			if id > 13 && h != crypto.SHA256 && h != crypto.SHA512 { // curve and hash have little to do with each other
				continue
			}
			r, s, err := curve.Sign(rand.Reader, d, pki.Sum(h, challenge))
			if err != nil {
				t.Fatal(err)
			}
			n := curve.Size()
			plain := append(r.FillBytes(make([]byte, n)), s.FillBytes(make([]byte, n))...)
			k.infos = &lds.SecurityInfos{ActiveAuth: oid}
			for name, answer := range map[string][]byte{"plain": plain, "DER": derSignature(r, s)} {
				if got := k.ActiveAuth(challenge, answer); got.Result != gate.Successful {
					t.Errorf("%s %v %s: %v", curve.Name, h, name, got)
				}
				if got := k.ActiveAuth(challenge, append(bytes.Clone(answer), 0)); got.Result != gate.Failed {
					t.Errorf("%s %v %s, a byte more: %v", curve.Name, h, name, got)
				}
			}
			if h != crypto.SHA256 && id != 12 {
				continue
			}
			k.infos = nil
			if got := k.ActiveAuth(challenge, plain); got.Result != gate.Successful {
				t.Errorf("%s %v, nothing stated: %v", curve.Name, h, got)
			}
			if got := k.ActiveAuth([]byte("another!"), plain); got.Result != gate.Failed {
				t.Errorf("%s %v, another challenge: %v", curve.Name, h, got)
			}
		}
	}
}
