package chip

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"math/big"
	"testing"
	"time"

	"gateagent/internal/ec"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// conversation plays commands and compares whole answers.
func conversation(t *testing.T, c *Chip, lines [][2]string) {
	t.Helper()
	for _, l := range lines {
		if got := hex.EncodeToString(c.Process(unhex(t, l[0]))); got != l[1] {
			t.Fatalf("%s is answered\n%s\nnot\n%s", l[0], got, l[1])
		}
	}
}

// ICAO 9303-11 Appendix D: BAC and secure messaging of the specimen, with
// the random numbers printed there.
func TestWorkedExampleBAC(t *testing.T) {
	c := New(Config{
		BAC: true, MRZInfo: []byte("L898902C<369080619406236"),
		Files: map[uint16][]byte{FileCOM: unhex(t, "60145f0104303130365f36063034303030305c026175")},
	})
	c.random = bytes.NewReader(unhex(t, "4608f919887022120b4f80323eb3191cb04970cb4052790b"))
	conversation(t, c, [][2]string{
		{"00a4040c07a0000002471001", "9000"},
		{"00a4020c02011e", "6982"},
		{"0084000008", "4608f919887022129000"},
		{"008200002872c29c2371cc9bdb65b779b8e8d37b29ecc154aa56a8799fae2f498f76ed92f25f1448eea8ad90a728",
			"46b9342a41396cd7386bf5803104d7cedc122b9132139baf2eedc94ee178534f2f2d235d074d74499000"},
		{"0ca4020c158709016375432908c044f68e08bf8b92d635ff24f800", "990290008e08fa855a5d4c50a8ed9000"},
		{"0cb000000d9701048e08ed6705417e96ba5500", "8709019ff0ec34f9922651990290008e08ad55cc17140b2ded9000"},
		{"0cb000040d9701128e082ea28a70f3c7b53500", "871901fb9235f4e4037f2327dcc8964f1f9b8c30f42c8e2fff224a990290008e08c8b2787eaea07d749000"},
		// The same command again has the wrong counter and ends the session.
		{"0cb000040d9701128e082ea28a70f3c7b53500", "6988"},
	})
	if c.open() {
		t.Error("a wrong MAC leaves the chip open")
	}
	conversation(t, c, [][2]string{{"00a4020c02011e", "6982"}})
}

func TestBACRejects(t *testing.T) {
	c := New(Config{BAC: true, MRZInfo: []byte("L898902C<369080619406236"), Seed: 1})
	conversation(t, c, [][2]string{
		{"00a4040c07a0000002471001", "9000"},
		{"008200002872c29c2371cc9bdb65b779b8e8d37b29ecc154aa56a8799fae2f498f76ed92f25f1448eea8ad90a728", "6985"},
	})
	c.Process(unhex(t, "0084000008"))
	conversation(t, c, [][2]string{
		{"008200002872c29c2371cc9bdb65b779b8e8d37b29ecc154aa56a8799fae2f498f76ed92f25f1448eea8ad90a728", "6300"},
	})
}

func TestFiles(t *testing.T) {
	body := bytes.Repeat([]byte{0xAB}, 0x9000)
	copy(body, []byte{0x61, 0x82})
	c := New(Config{
		Files:       map[uint16][]byte{FileDG(1): {1, 2, 3, 4, 5}, FileDG(2): body, FileDG(3): {9}, FileSOD: {7}},
		MasterFiles: map[uint16][]byte{FileCardAccess: {0x31, 0}, FileATRInfo: {0x47}},
		Denied:      []uint16{FileDG(3)},
		Quirks:      Quirks{NoSelectMF: true},
	})
	conversation(t, c, [][2]string{
		{"00a4000c023f00", "6d00"},
		{"00b0000000", "6986"},
		{"00a4020c02011c", "9000"},
		{"00b0000000", "31009000"},
		{"00b09c0000", "31009000"}, // by short identifier
		{"00b0810000", "479000"},
		{"00a4020c020101", "6a82"}, // not under the MF
		{"00a4040c07a000000247100100", "9000"},
		{"00a4040c07a0000002471002", "6a82"},
		{"00a4020c02011c", "6a82"}, // not under the application
		{"00b0000000", "6986"},
		{"00a4020002010100", "6f0880020005830201019000"},
		{"00b0000003", "0102039000"},
		{"00b0000303", "04056282"},
		{"00b0000500", "6b00"},
		{"00b0820002", "61829000"},
		{"00b00000", "6700"},
		{"00a4020c020103", "6982"},
		{"00b0830000", "6982"},
		{"00b101020654048000800006", "6b00"},
		{"00b101020454028ffe0a", "5302abab6282"},
		{"00b100000354010306", "5304abababab9000"},
		{"80b0000000", "6e00"},
		{"00d6000000", "6d00"},
		{"00a402", "6700"},
		{"00b000000000", "6700"},
	})
	if got := c.Process(unhex(t, "00b08200000000")); len(got) != 0x9000+2 {
		t.Errorf("an extended read gives %d bytes", len(got))
	}
}

func TestQuirks(t *testing.T) {
	files := map[uint16][]byte{FileDG(1): make([]byte, 300)}
	for name, c := range map[string]struct {
		q     Quirks
		lines [][2]string
	}{
		"no Le on SELECT":   {Quirks{NoLeOnSelect: true}, [][2]string{{"00a4040007a000000247100100", "6700"}}},
		"no extended":       {Quirks{NoExtended: true}, [][2]string{{"00b08100000100", "6700"}}},
		"bound, fewer":      {Quirks{MaxRead: 2}, [][2]string{{"00a4040c07a0000002471001", "9000"}, {"00b0810005", "00009000"}}},
		"bound, 6700":       {Quirks{MaxRead: 2, TooLongStatus: 0x6700}, [][2]string{{"00a4040c07a0000002471001", "9000"}, {"00b0810005", "6700"}}},
		"bound, 6Cxx":       {Quirks{MaxRead: 2, TooLongStatus: 0x6C00}, [][2]string{{"00a4040c07a0000002471001", "9000"}, {"00b0810005", "6c02"}}},
		"no short EF":       {Quirks{NoShortEF: true}, [][2]string{{"00a4040c07a0000002471001", "9000"}, {"00b0810005", "6a86"}}},
		"no odd read":       {Quirks{NoOddRead: true}, [][2]string{{"00b101010354010000", "6d00"}}},
		"application first": {Quirks{SelectAppFirst: true}, [][2]string{{"00a4020c02011c", "6a82"}, {"00a4040c07a0000002471001", "9000"}, {"00a4020c02011c", "9000"}}},
	} {
		t.Run(name, func(t *testing.T) {
			conversation(t, New(Config{Files: files, MasterFiles: map[uint16][]byte{FileCardAccess: {0x31, 0}}, Quirks: c.q}), c.lines)
		})
	}
}

// A protected answer that a short command has no room for comes in pieces.
func TestGetResponse(t *testing.T) {
	c := New(Config{})
	first := c.chunk(response(make([]byte, 600), swOK), 256)
	if len(first) != 258 || first[256] != 0x61 || first[257] != 0 {
		t.Fatalf("first piece %d bytes, status %X", len(first), first[len(first)-2:])
	}
	second := c.Process(unhex(t, "00c0000000"))
	if len(second) != 258 || second[256] != 0x61 || second[257] != 600-512 {
		t.Fatalf("second piece %d bytes, status %X", len(second), second[len(second)-2:])
	}
	if last := c.Process(unhex(t, "00c0000058")); len(last) != 88+2 || last[88] != 0x90 {
		t.Fatalf("last piece %X", last)
	}
	conversation(t, c, [][2]string{{"00c0000000", "6d00"}})
}

func TestRoom(t *testing.T) {
	for _, s := range []Cipher{TripleDES, AES128, AES192, AES256} {
		m, err := newSession(s, make([]byte, 32))
		if err != nil {
			t.Fatal(err)
		}
		n := m.room(256)
		if got := len(m.wrap(make([]byte, n), swOK, false)) - 2; got > 256 {
			t.Errorf("cipher %d: %d bytes become %d", s, n, got)
		}
		if n < 223 {
			t.Errorf("cipher %d: room for %d bytes only", s, n)
		}
	}
}

// PACE with steps out of order, a point off the curve, a wrong protocol.
func TestPACERefusals(t *testing.T) {
	curve, _ := ec.ByID(13)
	oid := "800a04007f00070202040202"
	newChip := func() *Chip {
		return New(Config{CAN: "123456", PACE: []PACE{{Cipher: AES128, Curve: curve, ID: 13}}, Seed: 1})
	}
	const set = "0022c1a40f" + "800a04007f00070202040202" + "830102"
	for name, lines := range map[string][][2]string{
		"no MSE":         {{"10860000027c0000", "6985"}},
		"not chained":    {{set, "9000"}, {"00860000027c0000", "6883"}},
		"MRZ not known":  {{"0022c1a40f" + oid + "830101", "6a88"}},
		"other cipher":   {{"0022c1a40f" + "800a04007f00070202040204" + "830102", "6a80"}},
		"other curve":    {{"0022c1a412" + oid + "830102" + "84010c", "6a80"}},
		"malformed":      {{set, "9000"}, {"10860000017c00", "6a80"}},
		"with curve":     {{"0022c1a412" + oid + "830102" + "84010d", "9000"}},
		"bad TLV in MSE": {{"0022c1a40280ff", "6a80"}},
	} {
		t.Run(name, func(t *testing.T) { conversation(t, newChip(), lines) })
	}
	c := newChip()
	conversation(t, c, [][2]string{{set, "9000"}})
	if z := c.Process(unhex(t, "10860000027c0000")); len(z) != 22 {
		t.Fatalf("nonce %X", z)
	}
	off := "1086000045" + "7c438141" + "04" + hex.EncodeToString(make([]byte, 64)) + "00"
	conversation(t, c, [][2]string{{off, "6a80"}, {"10860000027c0000", "6985"}})
}

func TestActiveAuthentication(t *testing.T) {
	// 512 bits are enough to see the layout: the largest primes below 2^256.
	below := func(k int64) *big.Int {
		return new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(k))
	}
	p, q := below(189), below(357)
	if !p.ProbablyPrime(20) || !q.ProbablyPrime(20) {
		t.Fatal("test primes are not prime")
	}
	one := big.NewInt(1)
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	n := new(big.Int).Mul(p, q)
	d := new(big.Int).ModInverse(big.NewInt(65537), phi)
	c := New(Config{Active: ActiveKey{N: n, D: d, Hash: crypto.SHA256}})
	challenge := unhex(t, "0102030405060708")
	out := c.Process(append(unhex(t, "0088000008"), append(challenge, 0)...))
	f := new(big.Int).Exp(new(big.Int).SetBytes(out[:len(out)-2]), big.NewInt(65537), n).FillBytes(make([]byte, (n.BitLen()+7)/8))
	m1, sum := f[1:len(f)-34], f[len(f)-34:len(f)-2]
	h := crypto.SHA256.New()
	h.Write(m1)
	h.Write(challenge)
	if f[0] != 0x6A || !bytes.Equal(f[len(f)-2:], []byte{0x34, 0xCC}) || !bytes.Equal(sum, h.Sum(nil)) {
		t.Errorf("recovered %X", f)
	}
	conversation(t, c, [][2]string{{"008800000401020304", "6700"}})
	small := New(Config{Active: ActiveKey{N: n, D: d, Hash: crypto.SHA512}})
	conversation(t, small, [][2]string{{"00880000080102030405060708", "6985"}})
}

// The model agrees with the table of read times for a 20 kB DG2 that is
// known from the field, to a tenth of a second.
func TestModel(t *testing.T) {
	read := func(chunk, rate int) float64 {
		m := Model{BitRate: rate, PerAPDU: 8 * time.Millisecond, PerByte: 10 * time.Microsecond}
		var total time.Duration
		for rest := 20000; rest > 0; rest -= chunk {
			n := min(rest, chunk)
			total += m.Latency(25, n/16*16+16+20, 0)
		}
		return total.Seconds()
	}
	for _, c := range []struct {
		chunk, rate int
		want        float64
	}{{160, 106, 3.7}, {160, 424, 1.9}, {160, 848, 1.6}, {223, 106, 3.0}, {223, 424, 1.5}, {1024, 424, 0.86}, {4096, 424, 0.70}, {4096, 848, 0.49}} {
		if got := read(c.chunk, c.rate); got < c.want-0.1 || got > c.want+0.1 {
			t.Errorf("chunks of %d at %d kbit/s: %.2f s, not %.2f", c.chunk, c.rate, got, c.want)
		}
	}
	if (Model{}).Latency(1000, 1000, 5) != 0 {
		t.Error("the zero model takes time")
	}
}

func TestProcessTakesItsTime(t *testing.T) {
	c := New(Config{Model: Model{PerAPDU: 20 * time.Millisecond}})
	start := time.Now()
	c.Process([]byte{0, 0xA4, 0, 0x0C})
	if took := time.Since(start); took < 20*time.Millisecond {
		t.Errorf("answered after %v", took)
	}
	if c.Modelled() != 20*time.Millisecond || c.Commands() != 1 {
		t.Errorf("modelled %v for %d commands", c.Modelled(), c.Commands())
	}
}

func TestMuteUntilReset(t *testing.T) {
	c := New(Config{Fault: func(index int, _, resp []byte) ([]byte, bool) { return resp, index == 1 }})
	c.Process([]byte{0, 0xA4, 0, 0x0C})
	for _, end := range []func(){c.Reset, c.Close} {
		done := make(chan []byte)
		go func() { done <- c.Process([]byte{0, 0xA4, 0, 0x0C}) }()
		select {
		case <-done:
			t.Fatal("the mute chip answered")
		case <-time.After(20 * time.Millisecond):
		}
		end()
		if out := <-done; out != nil {
			t.Errorf("after the end it answers %X", out)
		}
		c.Process([]byte{0, 0xA4, 0, 0x0C})
	}
	if c.Process([]byte{0, 0xA4, 0, 0x0C}) != nil {
		t.Error("a closed chip answers")
	}
}
