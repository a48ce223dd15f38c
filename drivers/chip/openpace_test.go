package chip

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/internal/ber"
)

// The peer is OpenPACE (libeac) in a process of its own; testdata/openpace
// says what of it is libeac's and what is computed with OpenSSL alone.

// buildPeer compiles it.
func buildPeer(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out := filepath.Join(t.TempDir(), "peer")
	cmd := exec.CommandContext(ctx, "gcc", "-std=c11", "-O1", "-Wall", "-Wextra", "-Wno-deprecated-declarations",
		"-o", out, filepath.Join("testdata", "openpace", "peer.c"), "-leac", "-lcrypto")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("the peer does not compile; scripts/setup installs libeac-dev: %v\n%s", err, text)
	}
	return out
}

// peer is a running one, and a chip that knows MSE:Set AT and GENERAL
// AUTHENTICATE of PACE.
type peer struct {
	t     *testing.T
	in    io.WriteCloser
	lines *bufio.Scanner
	keys  [2][]byte // session keys, once they are agreed on
}

func startPeer(t *testing.T, path string, args ...string) *peer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	cmd := exec.CommandContext(ctx, path, args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = in.Close()
		_ = cmd.Wait() // it ends with its input, or by the signal
	})
	return &peer{t: t, in: in, lines: bufio.NewScanner(out)}
}

// ask sends one line and brings the answer.
func (p *peer) ask(b []byte) string {
	if _, err := fmt.Fprintf(p.in, "%X\n", b); err != nil {
		p.t.Fatal(err)
	}
	return p.line()
}

func (p *peer) line() string {
	if !p.lines.Scan() {
		p.t.Fatal("the peer ended")
	}
	return p.lines.Text()
}

func (p *peer) takeKeys(line string) {
	enc, mac, _ := strings.Cut(line, " ")
	p.keys = [2][]byte{unhex(p.t, enc), unhex(p.t, mac)}
}

// sameKeys compares session keys. libeac leaves the parity of DES keys alone,
// which no cipher looks at.
func (p *peer) sameKeys(u suite, enc, mac []byte) {
	for i, want := range [][]byte{enc, mac} {
		got := p.keys[i]
		if u == suite3DES {
			got = got[:min(len(got), len(want))]
			for k := range got {
				got[k], want[k] = got[k]|1, want[k]|1
			}
		}
		if !bytes.Equal(got, want) {
			p.t.Errorf("session key %d is %X, the peer's %X", i+1, want, got)
		}
	}
}

func (p *peer) Transmit(_ context.Context, apdu []byte) ([]byte, error) {
	if apdu[1] == insMSE {
		return []byte{0x90, 0x00}, nil
	}
	body := apdu[5:]
	if apdu[4] == 0 { // extended length
		body = apdu[7:]
	}
	t, _, err := ber.Next(body)
	if err != nil {
		return nil, err
	}
	var tag uint32
	var value []byte
	if inner, err := ber.Children(t.Value); err == nil && len(inner) == 1 {
		tag, value = inner[0].Tag, inner[0].Value
	}
	answer, also, _ := strings.Cut(p.ask(value), " ")
	switch {
	case answer == "!token":
		return []byte{0x63, 0x00}, nil
	case strings.HasPrefix(answer, "!"):
		return nil, errors.New("the peer refuses: " + answer)
	}
	objects := [][]byte{ber.Make(tag+1, unhex(p.t, answer))}
	if tag == 0 {
		objects[0] = ber.Make(0x80, unhex(p.t, answer))
	}
	if tag == 0x85 {
		p.takeKeys(p.line())
		if also != "" {
			objects = append(objects, ber.Make(0x8A, unhex(p.t, also)))
		}
	}
	return append(ber.Make(0x7C, objects...), 0x90, 0x00), nil
}

func dottedOID(b []byte) string {
	var o asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(ber.Make(ber.OID, b), &o); err != nil {
		return ""
	}
	return o.String()
}

// paceArcOf is the arc of a mapping in the protocol's object identifier.
func paceArcOf(m mapping, modp bool) byte {
	for arc := byte(1); arc <= 6; arc++ {
		if a, ok := paceArcs(arc); ok && a == (paceArc{m, modp}) {
			return arc
		}
	}
	return 0
}

func TestOpenPACE(t *testing.T) {
	path := buildPeer(t)
	t.Run("PACE", func(t *testing.T) { testPeerPACE(t, path) })
	t.Run("wrong password", func(t *testing.T) { testPeerRejects(t, path) })
	t.Run("chip authentication", func(t *testing.T) { testPeerChipAuth(t, path) })
}

// testPeerPACE runs every mapping, every standardized domain, every cipher.
// The integrated mapping on P-521 is all that one passport in the field
// offers.
func testPeerPACE(t *testing.T, path string) {
	for _, id := range []int{0, 1, 2, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18} {
		d := standardDomain(id)
		for _, m := range []mapping{mapGM, mapIM, mapCAM} {
			for u := suite3DES; u <= suiteAES256; u++ {
				arc := paceArcOf(m, d.group != nil)
				everything := id == 0 || id == 13 || id == 18 // elsewhere one cipher will do
				if id == 1 && m != mapGM || id == 2 && m != mapIM {
					continue // libeac tests these primes for a second or two each time
				}
				p := &paceChoice{oid: append(bytes.Clone(oidPACE), arc, byte(u)), suite: u, id: id}
				if !everything && u != suite(id%4+1) && (m != mapCAM || u != suite(id%3+2)) || !p.resolve(arc, nil) {
					continue
				}
				t.Run(p.String(), func(t *testing.T) {
					t.Parallel()
					againstPeer(t, path, p)
				})
			}
		}
	}
}

func againstPeer(t *testing.T, path string, p *paceChoice) {
	args := []string{map[mapping]string{mapGM: "gm", mapIM: "im", mapCAM: "cam"}[p.mapping], dottedOID(p.oid), fmt.Sprint(p.id), testCAN}
	var static keyPair
	if p.mapping == mapCAM {
		var err error
		if static, err = p.domain.generate(rand.Reader); err != nil {
			t.Fatal(err)
		}
		args = append(args, static.private.Text(16))
	}
	peer := startPeer(t, path, args...)
	s := New(peer, Options{})
	if err := s.runPACE(context.Background(), p, choosePassword(byCAN())); err != nil {
		t.Fatal(err)
	}
	peer.sameKeys(p.suite, s.sm.encKey, s.sm.macKey)
	if p.mapping != mapCAM {
		return
	}
	infos := func(key []byte, id int) []byte {
		return ber.Make(ber.Set, ber.Make(ber.Sequence, oid(oidCAKey, arcECDH), publicKeyInfo(p.id, key), integer(id)))
	}
	if detail, err := s.ProveMapping(context.Background(), infos(static.public, p.id)); err != nil || detail != p.String() {
		t.Errorf("%q %v", detail, err)
	}
	other, err := p.domain.generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.ProveMapping(context.Background(), infos(other.public, p.id))
	wantError(t, "another key", err, gate.ChipStatus, gate.CodeProofWrong)
	_, err = s.ProveMapping(context.Background(), infos(static.public, p.id+1))
	wantError(t, "the key under another number", err, gate.ChipStatus, gate.CodeProofWrong)
}

// publicKeyInfo is a SubjectPublicKeyInfo with standardized domain parameters.
func publicKeyInfo(id int, key []byte) []byte {
	algorithm := ber.Make(ber.Sequence, ber.Make(ber.OID, []byte{0x04, 0x00, 0x7F, 0x00, 0x07, 0x01, 0x02}), integer(id))
	if standardDomain(id).group != nil {
		key = ber.Make(ber.Integer, []byte{0}[:key[0]>>7], key)
	}
	return ber.Make(ber.Sequence, algorithm, ber.Make(ber.BitString, []byte{0}, key))
}

// testPeerRejects: a wrong password is found by libeac, and said so by us.
func testPeerRejects(t *testing.T, path string) {
	for _, id := range []int{12, 13} {
		d := standardDomain(id)
		arc := paceArcOf(mapGM, d.group != nil)
		p := &paceChoice{oid: append(bytes.Clone(oidPACE), arc, byte(suiteAES128)), suite: suiteAES128, id: id}
		p.resolve(arc, nil)
		s := New(startPeer(t, path, "gm", dottedOID(p.oid), fmt.Sprint(id), "000000"), Options{})
		err := s.runPACE(context.Background(), p, choosePassword(byCAN()))
		wantError(t, p.String(), err, gate.ChipPassword, gate.CodePasswordRejected)
	}
}

// testPeerChipAuth derives the keys of chip authentication version 1 as
// libeac does.
func testPeerChipAuth(t *testing.T, path string) {
	for _, id := range []int{0, 2, 8, 10, 12, 13, 15, 17, 18} {
		u := suite(id%4 + 1)
		d := standardDomain(id)
		t.Run(fmt.Sprintf("%s/%s", d.name(), u), func(t *testing.T) {
			t.Parallel()
			arc := byte(arcECDH)
			if d.group != nil {
				arc = arcDH
			}
			static, err := d.generate(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			own, err := d.generate(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			peer := startPeer(t, path, "ca", dottedOID(append(bytes.Clone(oidCA), arc, byte(u))), fmt.Sprint(id), evenHex(static.private), hex.EncodeToString(static.public))
			secret, err := own.secret(static.public)
			if err != nil {
				t.Fatal(err)
			}
			peer.takeKeys(peer.ask(own.public))
			peer.sameKeys(u, u.derive(secret, deriveEnc), u.derive(secret, deriveMAC))
		})
	}
}

func evenHex(n *big.Int) string { return hex.EncodeToString(n.Bytes()) }
