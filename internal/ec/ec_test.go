package ec

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"math/big"
	"testing"

	"github.com/ProtonMail/go-crypto/brainpool"
)

// peers computes the same curves independently of this package.
func peers() map[string]elliptic.Curve {
	return map[string]elliptic.Curve{
		"P-224": elliptic.P224(), "P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521(),
		"brainpoolP256r1": brainpool.P256r1(), "brainpoolP384r1": brainpool.P384r1(), "brainpoolP512r1": brainpool.P512r1(),
	}
}

func eachCurve(t *testing.T, f func(t *testing.T, c *Curve)) {
	for _, c := range all() {
		t.Run(c.Name, func(t *testing.T) { f(t, c) })
	}
}

// own gives the curve with this package's arithmetic even where the standard
// library would do it.
func own(c *Curve) *Curve {
	m := *c
	m.std = nil
	return &m
}

func TestTable(t *testing.T) {
	if len(all()) != 11 {
		t.Fatalf("%d curves, want the eleven of ICAO 9303-11", len(all()))
	}
	for id := 8; id <= 18; id++ {
		c, ok := ByID(id)
		if !ok || c.ID != id {
			t.Fatalf("no curve %d", id)
		}
		if d, ok := ByOID(c.OID); !ok || d != c {
			t.Errorf("%s not found by OID", c.Name)
		}
		if d, ok := ByName(c.Name); !ok || d != c {
			t.Errorf("%s not found by name", c.Name)
		}
		if d, ok := ByParameters(c.P, c.A, c.B, c.G.X, c.G.Y, c.N); !ok || d != c {
			t.Errorf("%s not found by parameters", c.Name)
		}
		g := c.BaseMult(big.NewInt(2))
		if _, ok := ByParameters(c.P, c.A, c.B, g.X, g.Y, c.N); ok {
			t.Errorf("%s with a foreign generator was accepted", c.Name)
		}
		if !c.P.ProbablyPrime(16) || !c.N.ProbablyPrime(16) {
			t.Errorf("%s: field or order is not prime", c.Name)
		}
	}
	if _, ok := ByID(7); ok {
		t.Error("id 7 is reserved")
	}
	if _, ok := ByParameters(nil, nil, nil, nil, nil, nil); ok {
		t.Error("no parameters matched a curve")
	}
}

func TestGroup(t *testing.T) {
	eachCurve(t, func(t *testing.T, c *Curve) {
		for _, c := range []*Curve{c, own(c)} {
			if !c.OnCurve(c.G) {
				t.Fatal("generator is not on the curve")
			}
			last := c.BaseMult(new(big.Int).Sub(c.N, big.NewInt(1)))
			if last.X.Cmp(c.G.X) != 0 || last.Equal(c.G) {
				t.Fatal("(N-1)G is not -G")
			}
			if !c.Add(last, c.G).Infinity() || !c.BaseMult(c.N).Infinity() || !c.BaseMult(new(big.Int)).Infinity() {
				t.Fatal("N·G is not infinity")
			}
			if !c.Add(c.G, c.G).Equal(c.BaseMult(big.NewInt(2))) {
				t.Fatal("G+G is not 2G")
			}
			if !c.Add(c.G, Point{}).Equal(c.G) || !c.Add(Point{}, c.G).Equal(c.G) || !c.Add(Point{}, Point{}).Infinity() {
				t.Fatal("infinity is not neutral")
			}
			a, p, _ := c.GenerateKey(rand.Reader)
			b, q, _ := c.GenerateKey(rand.Reader)
			if !c.Mult(p, b).Equal(c.Mult(q, a)) {
				t.Fatal("a(bG) is not b(aG)")
			}
			if !c.Add(p, q).Equal(c.BaseMult(new(big.Int).Add(a, b))) {
				t.Fatal("aG+bG is not (a+b)G")
			}
		}
	})
}

func TestPeers(t *testing.T) {
	for name, peer := range peers() {
		c, ok := ByName(name)
		if !ok {
			t.Fatalf("no %s", name)
		}
		p := peer.Params()
		// The peer states no B for its brainpool r1 curves.
		if c.P.Cmp(p.P) != 0 || c.N.Cmp(p.N) != 0 || !c.G.Equal(Point{p.Gx, p.Gy}) || (p.B != nil && c.B.Cmp(p.B) != 0) {
			t.Errorf("%s: the peer has other parameters", name)
		}
		o := own(c)
		for range 8 {
			d, q, err := o.GenerateKey(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			//lint:ignore SA1019 a peer to compare with
			if x, y := peer.ScalarBaseMult(d.Bytes()); !q.Equal(Point{x, y}) {
				t.Fatalf("%s: another public key than the peer", name)
			}
			k, _ := o.scalar(rand.Reader)
			//lint:ignore SA1019 a peer to compare with
			if x, y := peer.ScalarMult(q.X, q.Y, k.Bytes()); !o.Mult(q, k).Equal(Point{x, y}) {
				t.Fatalf("%s: another multiple than the peer", name)
			}
			//lint:ignore SA1019 a peer to compare with
			if x, y := peer.Add(q.X, q.Y, c.G.X, c.G.Y); !o.Add(q, c.G).Equal(Point{x, y}) {
				t.Fatalf("%s: another sum than the peer", name)
			}
		}
	}
}

func TestUnmarshal(t *testing.T) {
	eachCurve(t, func(t *testing.T, c *Curve) {
		b := c.Marshal(c.G)
		if len(b) != 1+2*c.Size() {
			t.Fatalf("%d bytes", len(b))
		}
		if p, err := c.Unmarshal(b); err != nil || !p.Equal(c.G) {
			t.Fatal("the generator does not come back")
		}
		off := bytes.Clone(b)
		off[len(off)-1] ^= 1
		over := append([]byte{4}, c.P.Bytes()...)
		over = append(over, make([]byte, c.Size())...)
		high := append([]byte{4}, bytes.Repeat([]byte{0xFF}, 2*c.Size())...)
		compressed := append([]byte{2}, b[1:1+c.Size()]...)
		for name, bad := range map[string][]byte{
			"off the curve": off, "x = p": over, "x above p": high, "compressed": compressed, "infinity": {0}, "empty": {},
			"short": b[:len(b)-1], "long": append(bytes.Clone(b), 0), "origin": append([]byte{4}, make([]byte, 2*c.Size())...),
		} {
			if _, err := c.Unmarshal(bad); err == nil {
				t.Errorf("%s was accepted", name)
			}
		}
		if got := c.Marshal(Point{}); !bytes.Equal(got, []byte{0}) {
			t.Errorf("infinity is %X", got)
		}
		bad := Point{c.G.X, new(big.Int).Add(c.G.Y, big.NewInt(1))}
		if !c.Mult(bad, big.NewInt(5)).Infinity() {
			t.Error("a point off the curve was multiplied")
		}
		if _, err := c.SharedX(big.NewInt(5), bad); err == nil {
			t.Error("a secret with a point off the curve")
		}
		if _, err := c.SharedX(c.N, c.G); err == nil {
			t.Error("a private key of N was accepted")
		}
	})
}

// A shared secret with a leading zero byte keeps its width.
func TestSharedXWidth(t *testing.T) {
	for _, name := range []string{"P-256", "P-521", "brainpoolP256r1"} {
		c, _ := ByName(name)
		found := false
		for d := int64(1); d < 4000 && !found; d++ {
			x, err := c.SharedX(big.NewInt(d), c.G)
			if err != nil || len(x) != c.Size() {
				t.Fatalf("%s: %d bytes, %v", name, len(x), err)
			}
			found = x[0] == 0
		}
		if !found {
			t.Errorf("%s: no x with a leading zero in 4000 points", name)
		}
	}
}

func TestWithGenerator(t *testing.T) {
	eachCurve(t, func(t *testing.T, c *Curve) {
		g := c.BaseMult(big.NewInt(77))
		m := c.WithGenerator(g)
		if !m.BaseMult(big.NewInt(3)).Equal(c.BaseMult(big.NewInt(231))) {
			t.Error("3·(77G) is not 231G")
		}
		if c.G.Equal(g) {
			t.Error("the named curve changed")
		}
	})
}

func TestGenerateKeyRefusesBadSource(t *testing.T) {
	c, _ := ByName("brainpoolP256r1")
	zero := bytes.NewReader(make([]byte, 32*200))
	if _, _, err := c.GenerateKey(zero); err == nil {
		t.Error("a source of zeros gave a key")
	}
	if _, _, err := c.GenerateKey(bytes.NewReader(nil)); err == nil {
		t.Error("an empty source gave a key")
	}
}

func TestECDSA(t *testing.T) {
	eachCurve(t, func(t *testing.T, c *Curve) {
		d, q, _ := c.GenerateKey(rand.Reader)
		for _, digest := range [][]byte{sum256("a"), sum512("a"), {1, 2, 3}} {
			r, s, err := c.Sign(rand.Reader, d, digest)
			if err != nil {
				t.Fatal(err)
			}
			if !c.Verify(q, digest, r, s) {
				t.Fatal("own signature refused")
			}
			other := bytes.Clone(digest)
			other[0] ^= 1
			if c.Verify(q, other, r, s) || c.Verify(c.G, digest, r, s) || c.Verify(q, digest, s, r) {
				t.Fatal("a wrong signature was accepted")
			}
			if c.Verify(q, digest, new(big.Int), s) || c.Verify(q, digest, r, c.N) || c.Verify(Point{}, digest, r, s) ||
				c.Verify(q, digest, new(big.Int).Add(r, c.N), s) || c.Verify(q, digest, nil, nil) {
				t.Fatal("a value out of range was accepted")
			}
		}
	})
}

func TestECDSAPeers(t *testing.T) {
	for name, peer := range peers() {
		c, _ := ByName(name)
		d, q, _ := c.GenerateKey(rand.Reader)
		digest := sum512(name)
		//lint:ignore SA1019 brainpool keys cannot be made in another way
		pub := ecdsa.PublicKey{Curve: peer, X: q.X, Y: q.Y}
		r, s, _ := c.Sign(rand.Reader, d, digest)
		if !ecdsa.Verify(&pub, digest, r, s) {
			t.Errorf("%s: the peer refuses our signature", name)
		}
		//lint:ignore SA1019 brainpool keys cannot be made in another way
		r, s, err := ecdsa.Sign(rand.Reader, &ecdsa.PrivateKey{PublicKey: pub, D: d}, digest)
		if err != nil || !c.Verify(q, digest, r, s) {
			t.Errorf("%s: the peer's signature is refused (%v)", name, err)
		}
	}
}

func sum256(s string) []byte { h := sha256.Sum256([]byte(s)); return h[:] }
func sum512(s string) []byte { h := sha512.Sum512([]byte(s)); return h[:] }

// TestField compares the field with math/big at its edges.
func TestField(t *testing.T) {
	eachCurve(t, func(t *testing.T, c *Curve) {
		f := newField(c.P)
		one := big.NewInt(1)
		values := []*big.Int{new(big.Int), one, big.NewInt(2), new(big.Int).Sub(c.P, one), new(big.Int).Rsh(c.P, 1), c.B}
		for i := uint(60); i < uint(c.P.BitLen()-1); i += 31 {
			v := new(big.Int).Lsh(one, i)
			values = append(values, v, new(big.Int).Sub(v, one), new(big.Int).Sub(c.P, v))
		}
		for _, x := range values {
			for _, y := range values {
				var ex, ey, ez element
				f.set(&ex, x)
				f.set(&ey, y)
				want := new(big.Int)
				if f.mul(&ez, &ex, &ey); f.number(&ez).Cmp(want.Mod(want.Mul(x, y), c.P)) != 0 {
					t.Fatalf("%x · %x", x, y)
				}
				if f.sum(&ez, &ex, &ey); f.number(&ez).Cmp(want.Mod(want.Add(x, y), c.P)) != 0 {
					t.Fatalf("%x + %x", x, y)
				}
				if f.sub(&ez, &ex, &ey); f.number(&ez).Cmp(want.Mod(want.Sub(x, y), c.P)) != 0 {
					t.Fatalf("%x - %x", x, y)
				}
				if f.zero(&ez) != (x.Cmp(y) == 0) {
					t.Fatalf("%x - %x is zero?", x, y)
				}
			}
		}
	})
}

func BenchmarkMult(b *testing.B) {
	for _, c := range all() {
		b.Run(c.Name, func(b *testing.B) {
			k, q, _ := c.GenerateKey(rand.Reader)
			for b.Loop() {
				c.Mult(q, k)
			}
		})
	}
}
