package chip

import (
	"context"
	"crypto/cipher"
	"crypto/sha1"
	"math/big"

	"gateagent/gate"
	"gateagent/internal/ber"
)

const stepPACE = "PACE"

// Password references of MSE:Set AT (ICAO 9303-11 section 4.4.4.1).
const (
	passwordMRZ = 0x01
	passwordCAN = 0x02
)

// password is what PACE proves, as the key derivation wants it.
type password struct {
	ref    byte
	name   string
	secret []byte // f(π), section 9.7.3
}

// choosePassword prefers the MRZ, which every chip knows.
func choosePassword(key gate.AccessKey) password {
	if len(key.MRZInfo) > 0 {
		h := sha1.Sum(key.MRZInfo)
		return password{passwordMRZ, "MRZ", h[:]}
	}
	return password{passwordCAN, "CAN", append([]byte(nil), key.CAN...)}
}

// paceRun is the state of one run of PACE (ICAO 9303-11 section 4.4).
type paceRun struct {
	*Session
	*paceChoice
	ctx context.Context
	key *agreement // our key for the generic mapping; nil with the integrated one
}

// runPACE opens the chip with the choice and starts secure messaging.
func (s *Session) runPACE(ctx context.Context, p *paceChoice, pw password) error {
	defer clear(pw.secret)
	r := paceRun{s, p, ctx, nil}
	s.cam = nil
	if p.mapping != mapIM {
		r.key = agreeAhead(p.domain, s.opts.Rand, nil)
		defer r.key.wipe()
	}
	if err := r.announce(pw); err != nil {
		return err
	}
	nonce, err := r.nonce(pw)
	if err != nil {
		return err
	}
	defer clear(nonce)
	mapped, err := r.mapNonce(nonce)
	if err != nil {
		return err
	}
	secret, own, other, err := r.agree(mapped)
	if err != nil {
		return err
	}
	defer clear(secret)
	return r.authenticate(secret, own, other)
}

// announce names protocol and password (MSE:Set AT, section 4.4.4.1). The
// reference to the domain parameters is sent where several are on offer, and
// on a second try to chips that insist on it.
func (r paceRun) announce(pw password) error {
	data := append(ber.Make(0x80, r.oid), ber.Make(0x83, []byte{pw.ref})...)
	withID := append(data[:len(data):len(data)], ber.Make(0x84, []byte{byte(r.id)})...)
	tries := [][]byte{data, withID}
	if r.several {
		tries = [][]byte{withID}
	}
	if r.id < 0 || r.id > 0xFF {
		tries = [][]byte{data}
	}
	var sw uint16
	for _, d := range tries {
		answer, err := r.plain(r.ctx, stepPACE, command{ins: insMSE, p1: 0xC1, p2: 0xA4, data: d})
		if err != nil {
			return err
		}
		sw = answer.sw
		// 63Cx tells how many tries are left (BSI TR-03110-3 B.14.1).
		if answer.ok() || (sw>>4 == 0x63C && sw != 0x63C0) {
			return nil
		}
	}
	switch {
	case sw == 0x63C0:
		return fault(gate.ChipPassword, gate.CodePasswordRejected, stepPACE, sw, nil)
	case sw == 0x6A88 && pw.ref == passwordCAN:
		// The chip has no card access number; the MRZ would open it.
		return fault(gate.ChipUnsupported, gate.CodeNoProtocol, stepPACE, sw, nil)
	}
	return refused(stepPACE, sw)
}

// refused: a status word where access wants a valid message.
func refused(step string, sw uint16) *gate.ChipError {
	return fault(gate.ChipNonsense, gate.CodeChipStatus, step, sw, nil)
}

// general sends one step of GENERAL AUTHENTICATE (section 4.4.4.2). Tag 0
// sends an empty step.
func (r paceRun) general(cla byte, tag uint32, value []byte) (response, error) {
	var inner []byte
	if tag != 0 {
		inner = ber.Make(tag, value)
	}
	c := command{cla: cla, ins: insGeneralAuthenticate, data: ber.Make(0x7C, inner), ne: maxShortNe}
	if c.extended() {
		c.ne = r.domain.answerNe()
	}
	return r.plain(r.ctx, stepPACE, c)
}

// exchange is a step whose answer is one data object.
func (r paceRun) exchange(tag uint32, value []byte, answer uint32) ([]byte, error) {
	got, err := r.general(claChaining, tag, value)
	if err != nil {
		return nil, err
	}
	if !got.ok() {
		return nil, refused(stepPACE, got.sw)
	}
	objects, err := dynamicData(got.data)
	if err == nil && len(objects) == 0 && r.mapping == mapIM && answer == 0x82 {
		return nil, nil // the data object is empty with this mapping, and some leave it out
	}
	if err != nil || len(objects) != 1 || objects[0].Tag != answer {
		return nil, nonsense(stepPACE, "no data object %02X in the answer", answer)
	}
	return objects[0].Value, nil
}

// dynamicData opens dynamic authentication data (ISO/IEC 7816-4 table 98).
func dynamicData(b []byte) ([]ber.TLV, error) {
	v, err := ber.Expect(b, 0x7C)
	if err != nil {
		return nil, err
	}
	return ber.Children(v)
}

// nonce fetches and decrypts the nonce with the key of the password.
func (r paceRun) nonce(pw password) ([]byte, error) {
	z, err := r.exchange(0, nil, 0x80)
	if err != nil {
		return nil, err
	}
	n := r.suite.blockSize()
	// Section 4.4.3.3: whole blocks, as many as the chip likes; none needs
	// more than the longest key, and we allow twice that.
	if len(z) == 0 || len(z) > 64 || len(z)%n != 0 {
		return nil, nonsense(stepPACE, "a nonce of %d bytes", len(z))
	}
	key := r.suite.derive(pw.secret, derivePassword)
	defer clear(key)
	s := make([]byte, len(z))
	cipher.NewCBCDecrypter(r.suite.block(key), make([]byte, n)).CryptBlocks(s, z)
	return s, nil
}

// mapNonce agrees on a new generator.
func (r paceRun) mapNonce(nonce []byte) (domain, error) {
	if r.mapping == mapIM {
		return r.mapIntegrated(nonce)
	}
	return r.mapGeneric(nonce)
}

// mapGeneric exchanges keys for the generic mapping (section 4.4.3.3.1). The
// chip authentication mapping begins alike; the chip's key is what its proof
// is about.
func (r paceRun) mapGeneric(nonce []byte) (domain, error) {
	if err := r.key.settle(); err != nil {
		return domain{}, randomFault(stepPACE, err)
	}
	own := r.key.own
	other, err := r.swap(own, 0x81, 0x82)
	if err != nil {
		return domain{}, err
	}
	if r.mapping == mapCAM {
		r.cam = &mappingProof{choice: r.paceChoice, mapped: other}
	}
	s := new(big.Int).SetBytes(nonce)
	defer wipeInt(s)
	mapped, err := own.mapGeneric(other, s)
	if err != nil {
		return domain{}, fault(gate.ChipNonsense, gate.CodeChipNonsense, stepPACE, 0, err)
	}
	return mapped, nil
}

// agree runs Diffie-Hellman over the mapped generator.
func (r paceRun) agree(mapped domain) (secret, own, other []byte, err error) {
	key, err := mapped.generate(r.opts.Rand)
	if err != nil {
		return nil, nil, nil, randomFault(stepPACE, err)
	}
	defer key.wipe()
	if other, err = r.swap(key, 0x83, 0x84); err != nil {
		return nil, nil, nil, err
	}
	if secret, err = key.secret(other); err != nil {
		return nil, nil, nil, fault(gate.ChipNonsense, gate.CodeChipNonsense, stepPACE, 0, err)
	}
	return secret, key.public, other, nil
}

// swap exchanges public keys. The chip's must not be our own (section 4.4.1,
// step 3); that it belongs to the domain is proven where it is used.
func (r paceRun) swap(own keyPair, tag, answer uint32) ([]byte, error) {
	other, err := r.exchange(tag, own.public, answer)
	if err != nil {
		return nil, err
	}
	if own.equal(other, own.public) {
		return nil, nonsense(stepPACE, "the chip sends our own public key back")
	}
	return other, nil
}

// authenticate exchanges the tokens (section 4.4.3.4) and starts secure
// messaging with the new keys.
func (r paceRun) authenticate(secret, own, other []byte) error {
	sm := newSecure(r.suite, secret, nil)
	answer, err := r.general(0, 0x85, r.token(sm, other))
	if err != nil {
		sm.wipe()
		return err
	}
	proof, err := r.checkToken(answer, r.token(sm, own))
	if err != nil {
		sm.wipe()
		return err
	}
	if r.cam != nil {
		r.cam.open(sm, proof)
	}
	r.sm = sm
	// PACE leaves the chip in the master file (section 4.4), unless an
	// application had been selected before it.
	if r.place.folder != folderMaster {
		r.place = place{}
	}
	r.place.file = gate.FileNone
	return nil
}

// token is the MAC over the other side's public key as it was sent (section
// 4.4.3.4).
func (r paceRun) token(sm *secure, public []byte) []byte {
	key := ber.Make(0x7F49, ber.Make(ber.OID, r.oid), ber.Make(r.domain.tag(), public))
	return r.suite.mac8(sm.macKey, key)
}

// checkToken judges the answer to the password step. It gives the encrypted
// proof of the chip authentication mapping; nil when there is none.
func (r paceRun) checkToken(answer response, want []byte) (proof []byte, err error) {
	switch {
	case answer.sw == 0x6300 || answer.sw>>4 == 0x63C:
		return nil, fault(gate.ChipPassword, gate.CodePasswordRejected, stepPACE, answer.sw, nil)
	case !answer.ok():
		return nil, refused(stepPACE, answer.sw)
	}
	objects, err := dynamicData(answer.data)
	if err != nil || len(objects) == 0 || objects[0].Tag != 0x86 {
		return nil, nonsense(stepPACE, "no authentication token in the answer")
	}
	for _, o := range objects[1:] {
		switch {
		case o.Tag == 0x87 || o.Tag == 0x88: // certification authority references
		case o.Tag == 0x8A && r.mapping == mapCAM && proof == nil:
			proof = o.Value
		default:
			return nil, nonsense(stepPACE, "data object %02X beside the authentication token", o.Tag)
		}
	}
	if !sameMAC(objects[0].Value, want) {
		return nil, fault(gate.ChipNonsense, gate.CodeWrongToken, stepPACE, 0, nil)
	}
	return proof, nil
}

func randomFault(step string, err error) *gate.ChipError {
	return fault(gate.ChipDevice, gate.CodeReaderFault, step, 0, err)
}

// wipeInt overwrites a secret number.
func wipeInt(n *big.Int) {
	if n != nil {
		clear(n.Bits())
		n.SetInt64(0)
	}
}
