package chip

import (
	"context"
	"errors"
	"fmt"

	"gateagent/gate"
	"gateagent/internal/ber"
	"gateagent/internal/ec"
)

const stepCA = "chip authentication"

// caChoice is one way of chip authentication: a key of the chip and the suite
// that goes with it.
type caChoice struct {
	oid   []byte // protocol as encoded; nil when only the key is announced
	suite suite
	curve *ec.Curve
	key   ec.Point
	id    []byte // key identifier as sent; nil when there is none
}

// String names the protocol.
func (c *caChoice) String() string { return fmt.Sprintf("CA-ECDH-%s %s", c.suite, c.curve.Name) }

func (c *caChoice) strength() int { return min(c.curve.N.BitLen()/2, c.suite.strength()) }

var (
	errNoCA      = errors.New("DG14 announces no chip authentication")
	errCAUnknown = errors.New("DG14 announces chip authentication with algorithms that we do not have")
)

// caInfos collects what DG14 says about chip authentication (ICAO 9303-11
// sections 9.2.5 and 9.2.6): keys and protocols, by key identifier (-1
// without one).
type caInfos struct {
	protocols map[int][]caChoice // without key
	keys      map[int]ec.Point
	curves    map[int]*ec.Curve
	announced bool
}

// chooseCA reads DG14 and picks the strongest pair of key and protocol.
func chooseCA(dg14 []byte) (*caChoice, error) {
	content, err := ber.Expect(dg14, 0x6E)
	if err != nil {
		return nil, err
	}
	infos, err := parseInfos(content)
	if err != nil {
		return nil, err
	}
	all := caInfos{map[int][]caChoice{}, map[int]ec.Point{}, map[int]*ec.Curve{}, false}
	for _, i := range infos {
		if err := all.add(i); err != nil {
			return nil, err
		}
	}
	if !all.announced {
		return nil, errNoCA
	}
	var best *caChoice
	for id, key := range all.keys {
		for _, c := range all.forKey(id) {
			c.curve, c.key = all.curves[id], key
			if id >= 0 {
				c.id = intBytes(id)
			}
			if best == nil || c.strength() > best.strength() || c.strength() == best.strength() && c.suite > best.suite {
				best = &c
			}
		}
	}
	if best == nil {
		return nil, errCAUnknown
	}
	return best, nil
}

// forKey gives the protocols of a key. A document with a key and no protocol
// at all is of the first generation, which knew 3DES alone (BSI TR-03110-3
// appendix A.1.1.2: the protocol info is optional there).
func (a *caInfos) forKey(id int) []caChoice {
	if len(a.protocols) == 0 {
		return []caChoice{{suite: suite3DES}}
	}
	return a.protocols[id]
}

func (a *caInfos) add(i info) error {
	id, err := -1, error(nil)
	if arcs := under(i.oid, oidCAKey, 1); arcs != nil && arcs[0] == 2 {
		a.announced = true
		if id, err = keyID(i); err != nil {
			return err
		}
		return a.addKey(id, i.required)
	}
	if under(i.oid, oidCAKey, 1) != nil { // a Diffie-Hellman key
		a.announced = true
		return nil
	}
	arcs := under(i.oid, oidCA, 2)
	if arcs == nil {
		return nil
	}
	a.announced = true
	version, ok := smallInt(i.required)
	if !ok {
		return errInfo
	}
	if id, err = keyID(i); err != nil {
		return err
	}
	if u := suite(arcs[1]); version == 1 && arcs[0] == 2 && u.valid() {
		a.protocols[id] = append(a.protocols[id], caChoice{oid: i.oid, suite: u})
	}
	return nil
}

func (a *caInfos) addKey(id int, spki ber.TLV) error {
	f, err := ber.Children(spki.Value)
	if err != nil || spki.Tag != ber.Sequence || len(f) != 2 || f[0].Tag != ber.Sequence || f[1].Tag != ber.BitString {
		return errInfo
	}
	c, err := parseCurve(f[0].Value)
	if err != nil || c == nil {
		return err
	}
	if len(f[1].Value) < 1 || f[1].Value[0] != 0 {
		return errInfo
	}
	p, err := c.Unmarshal(f[1].Value[1:])
	if err != nil {
		return err
	}
	a.keys[id], a.curves[id] = p, c
	return nil
}

func keyID(i info) (int, error) {
	n, err := i.integer()
	if err != nil || n == nil {
		return -1, err
	}
	return *n, nil
}

func intBytes(n int) []byte {
	b := []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
	for len(b) > 1 && b[0] == 0 {
		b = b[1:]
	}
	return b
}

// ChipAuthenticate runs chip authentication version 1 by ECDH (ICAO 9303-11
// section 6.2) with the strongest key that dg14 states, restarts secure
// messaging and proves the new session by one protected command.
func (s *Session) ChipAuthenticate(ctx context.Context, dg14 []byte) (string, error) {
	if err := s.alive(stepCA); err != nil {
		return "", err
	}
	c, err := chooseCA(dg14)
	switch {
	case errors.Is(err, errNoCA):
		return "", fault(gate.ChipNotOffered, gate.CodeProofNotOffered, stepCA, 0, err)
	case err != nil:
		return "", fault(gate.ChipAlgorithm, gate.CodeProofAlgorithm, stepCA, 0, err)
	}
	if err := s.runCA(ctx, c); err != nil {
		return c.String(), err
	}
	s.ca = c
	return c.String(), nil
}

// runCA agrees on new keys with the chip's static key and proves them.
func (s *Session) runCA(ctx context.Context, c *caChoice) error {
	d, own, err := c.curve.GenerateKey(s.opts.Rand)
	if err != nil {
		return randomFault(stepCA, err)
	}
	defer wipeInt(d)
	secret, err := c.curve.SharedX(d, c.key)
	if err != nil {
		return fault(gate.ChipAlgorithm, gate.CodeProofAlgorithm, stepCA, 0, err)
	}
	defer clear(secret)
	if err := s.sendCAKey(ctx, c, c.curve.Marshal(own)); err != nil {
		return err
	}
	s.dropSecure()
	s.sm = newSecure(c.suite, secret, nil)
	return s.proveSession(ctx)
}

// sendCAKey hands our ephemeral key to the chip: by MSE:Set KAT with 3DES, by
// MSE:Set AT and GENERAL AUTHENTICATE with AES (section 6.2.4).
func (s *Session) sendCAKey(ctx context.Context, c *caChoice, public []byte) error {
	var id []byte
	if c.id != nil {
		id = ber.Make(0x84, c.id)
	}
	steps := []command{
		{ins: insMSE, p1: 0x41, p2: 0xA4, data: append(ber.Make(0x80, c.oid), id...)},
		{ins: insGeneralAuthenticate, data: ber.Make(0x7C, ber.Make(0x80, public)), ne: maxShortNe, short: true},
	}
	if c.suite == suite3DES {
		steps = []command{{ins: insMSE, p1: 0x41, p2: 0xA6, data: append(ber.Make(0x91, public), id...)}}
	}
	for _, cmd := range steps {
		r, err := s.must(ctx, stepCA, cmd)
		if err != nil {
			return err
		}
		if !r.ok() {
			return fault(gate.ChipStatus, gate.CodeProofWithheld, stepCA, r.sw, nil)
		}
		if cmd.ins == insGeneralAuthenticate && len(r.data) > 0 {
			if objects, err := dynamicData(r.data); err != nil || len(objects) != 0 {
				return nonsense(stepCA, "data in the answer to the public key")
			}
		}
	}
	return nil
}

// proveSession sends the first protected command under the new keys: only a
// chip with the private key can answer it. It reads the beginning of DG1,
// which is read next anyway. Any protected answer is proof, whatever its
// status; whether the file can be read is the reading step's question.
func (s *Session) proveSession(ctx context.Context) error {
	s.reads.forget()
	s.place.file = gate.FileNone
	e := files[gate.FileDG1]
	c := selectFile(e.id)
	if s.reads.shortEF == yes && s.place.folder == folderApplication {
		c = command{ins: insReadBinary, p1: 0x80 | e.short, ne: s.reads.first(e.limit)}
	}
	r, err := s.must(ctx, stepCA, c)
	if err != nil {
		var e *gate.ChipError
		if errors.As(err, &e) && e.Kind == gate.ChipNonsense {
			e.Code = gate.CodeProofWrong
		}
		return err
	}
	if c.ins == insReadBinary && r.readable() && len(r.data) > 0 {
		s.reads.ahead, s.reads.aheadFile, s.place.file = r.data, gate.FileDG1, gate.FileDG1
	}
	return nil
}
