package document

import (
	"bytes"
	"crypto"
	"crypto/subtle"
	"errors"
	"fmt"
	"math/big"

	"gateagent/gate"
	"gateagent/match/document/pki"
)

// challengeSize is the length of RND.IFD (ICAO 9303-11 section 6.1.2).
const challengeSize = 8

// ActiveAuth judges the chip's answer to a challenge (ICAO 9303-11 section
// 6.1). It succeeds only under a key that the security object proves.
func (c *docCase) ActiveAuth(challenge, response []byte) gate.Check {
	const id = gate.CheckActiveAuth
	switch {
	case !c.proven() || c.aaKey == nil && c.aaErr == nil:
		return check(id, gate.Undetermined, gate.CodeProofUnproven, "")
	case c.aaErr != nil:
		return check(id, gate.Undetermined, gate.CodeProofAlgorithm, c.aaErr.Error())
	case len(challenge) != challengeSize:
		return check(id, gate.Undetermined, gate.CodeProofUnproven, "no challenge of our own")
	}
	detail := c.aaKey.String()
	var err error
	if c.aaKey.N != nil {
		err = verifyISO9796(c.aaKey, challenge, response)
	} else {
		err = c.verifyActiveECDSA(challenge, response)
	}
	switch {
	case unsupported(err):
		return check(id, gate.Undetermined, gate.CodeProofAlgorithm, err.Error())
	case err != nil:
		return check(id, gate.Failed, gate.CodeProofWrong, detail)
	}
	return check(id, gate.Successful, 0, detail)
}

// verifyActiveECDSA takes the hash from the signed DG14, where ICAO 9303-11
// section 9.2.4 wants it stated. Where it is not, any of the hashes will do,
// since the challenge is ours and no hash among them can be steered to it. A
// stated algorithm that such a key cannot have is the issuer's contradiction,
// not the chip's answer.
func (c *docCase) verifyActiveECDSA(challenge, response []byte) error {
	if c.infos == nil || c.infos.ActiveAuth == "" {
		return c.verifyUnstated(challenge, response)
	}
	alg, err := pki.AlgorithmByOID(c.infos.ActiveAuth)
	if err != nil {
		return err
	}
	if alg.Scheme != pki.SchemeECDSA && alg.Scheme != pki.SchemeECDSAPlain {
		return fmt.Errorf("DG14 states %s for a key on %s: %w", alg, c.aaKey.Curve.Name, pki.ErrUnsupported)
	}
	return c.aaKey.VerifyECDSA(pki.Sum(alg.Hash, challenge), response)
}

// verifyUnstated tries the hashes, the most likely first: the longest that
// is no longer than the key (ICAO 9303-11 section 6.1.2.3).
func (c *docCase) verifyUnstated(challenge, response []byte) error {
	var fit, rest []crypto.Hash
	for _, h := range [...]crypto.Hash{crypto.SHA512, crypto.SHA384, crypto.SHA256, crypto.SHA224, crypto.SHA1} {
		if 8*h.Size() <= c.aaKey.Curve.N.BitLen() && h != crypto.SHA1 {
			fit = append(fit, h)
		} else {
			rest = append(rest, h)
		}
	}
	err := pki.ErrSignature
	for _, h := range append(fit, rest...) {
		if err = c.aaKey.VerifyECDSA(pki.Sum(h, challenge), response); err == nil {
			return nil
		}
	}
	return err
}

// trailers holds the hash functions by the first byte of the two-byte trailer
// of ISO/IEC 9796-2 (identifiers of ISO/IEC 10118-3).
var trailers = map[byte]crypto.Hash{
	0x33: crypto.SHA1,
	0x34: crypto.SHA256,
	0x35: crypto.SHA512,
	0x36: crypto.SHA384,
	0x38: crypto.SHA224,
	0x39: crypto.SHA512_224,
	0x3A: crypto.SHA512_256,
}

// otherTrailers names the identifiers of ISO/IEC 10118-3 whose hash functions
// are not here; ICAO 9303-11 section 6.1.2.2 allows none of them.
var otherTrailers = map[byte]string{0x31: "RIPEMD-160", 0x32: "RIPEMD-128", 0x37: "Whirlpool"}

// verifyISO9796 is signature scheme 1 of ISO/IEC 9796-2 as ICAO 9303-11
// section 6.1.2.2 and appendix F use it: the message is a nonce of the chip,
// recovered from the signature, followed by the challenge.
func verifyISO9796(key *pki.PublicKey, challenge, response []byte) error {
	f, err := openRepresentative(key, response)
	if err != nil {
		return err
	}
	return checkRepresentative(f, challenge)
}

// checkRepresentative judges a recovered message representative.
func checkRepresentative(f, challenge []byte) error {
	h, tail, err := trailerOf(f)
	if err != nil {
		return err
	}
	if len(f) < h.Size()+tail+2 {
		return errors.New("the key is too short for its hash")
	}
	body, digest := f[:len(f)-tail-h.Size()], f[len(f)-tail-h.Size():len(f)-tail]
	m1, partial, err := stripHeader(body)
	if err != nil {
		return err
	}
	message := m1
	if partial {
		message = append(bytes.Clone(m1), challenge...)
	} else if !bytes.HasSuffix(m1, challenge) {
		return errors.New("the recovered message does not hold the challenge")
	}
	if subtle.ConstantTimeCompare(digest, pki.Sum(h, message)) != 1 {
		return pki.ErrSignature
	}
	return nil
}

// trailerOf gives hash and length of the trailer: BC stands for SHA-1 (ICAO
// 9303-11 section 6.1.2.2), anything before CC for itself. A hash is unknown
// only in what else looks like a signature: the answer of another key, which
// looks like nothing, is wrong.
func trailerOf(f []byte) (crypto.Hash, int, error) {
	id, last := f[len(f)-2], f[len(f)-1]
	if last == 0xBC {
		return crypto.SHA1, 1, nil
	}
	if h, ok := trailers[id]; ok && last == 0xCC {
		return h, 2, nil
	}
	if name, ok := otherTrailers[id]; ok && last == 0xCC {
		if _, _, err := stripHeader(f); err == nil {
			return 0, 0, fmt.Errorf("hash function %s: %w", name, pki.ErrUnsupported)
		}
	}
	return 0, 0, errors.New("the trailer is wrong")
}

// openRepresentative gives s^e mod n, or its negative: a signer may send the
// smaller of both (ISO/IEC 9796-2 appendix A). A representative ends in the
// nibble C.
func openRepresentative(key *pki.PublicKey, response []byte) ([]byte, error) {
	if key.N.BitLen()%8 != 0 {
		return nil, fmt.Errorf("RSA key of %d bits: %w", key.N.BitLen(), pki.ErrUnsupported)
	}
	f, err := key.Recover(response)
	if err != nil {
		return nil, err
	}
	if f[len(f)-1]&0x0F != 0x0C {
		v := new(big.Int).Sub(key.N, new(big.Int).SetBytes(f))
		v.FillBytes(f)
	}
	return f, nil
}

// stripHeader takes header and padding from the front: the bits 01, one bit
// that says whether the message goes on outside, padding in nibbles B closed
// by A (ISO/IEC 9796-2 section 8.1).
func stripHeader(b []byte) (m1 []byte, partial bool, err error) {
	bad := errors.New("the header is wrong")
	if b[0]&0xC0 != 0x40 || b[0]&0x10 != 0 {
		return nil, false, bad
	}
	partial = b[0]&0x20 != 0
	switch b[0] & 0x0F {
	case 0x0A:
		return b[1:], partial, nil
	case 0x0B:
	default:
		return nil, false, bad
	}
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case 0xBB:
		case 0xBA:
			return b[i+1:], partial, nil
		default:
			return nil, false, bad
		}
	}
	return nil, false, bad
}
