package chip

import (
	"context"
	"crypto/cipher"
	"crypto/sha1"
	"crypto/subtle"
	"io"

	"gateagent/gate"
	"gateagent/internal/mac"
)

const stepBAC = "BAC"

// runBAC opens the chip by basic access control (ICAO 9303-11 section 4.3)
// and starts secure messaging. The eMRTD application is selected.
func (s *Session) runBAC(ctx context.Context, mrzInfo []byte) error {
	h := sha1.Sum(mrzInfo)
	defer clear(h[:])
	enc, macKey := suite3DES.derive(h[:16], deriveEnc), suite3DES.derive(h[:16], deriveMAC)
	defer clear(enc)
	defer clear(macKey)

	answer, err := s.plain(ctx, stepBAC, command{ins: insGetChallenge, ne: 8})
	if err != nil {
		return err
	}
	if !answer.ok() {
		return refused(stepBAC, answer.sw)
	}
	if len(answer.data) != 8 {
		return nonsense(stepBAC, "a challenge of %d bytes", len(answer.data))
	}
	rndIC := answer.data

	// RND.IFD || RND.IC || K.IFD (section 4.3.3, step 2)
	msg := make([]byte, 32)
	defer clear(msg)
	for _, part := range [][]byte{msg[:8], msg[16:]} {
		if _, err := io.ReadFull(s.opts.Rand, part); err != nil {
			return randomFault(stepBAC, err)
		}
	}
	copy(msg[8:], rndIC)
	block := suite3DES.block(enc)
	sealed := make([]byte, 32, 40)
	cipher.NewCBCEncrypter(block, make([]byte, 8)).CryptBlocks(sealed, msg)
	sealed = append(sealed, mac.RetailMAC(macKey, pad(sealed, 8))...)

	answer, err = s.plain(ctx, stepBAC, command{ins: insExternalAuth, data: sealed, ne: 40})
	if err != nil {
		return err
	}
	return s.finishBAC(answer, block, macKey, msg)
}

// finishBAC opens the chip's message RND.IC || RND.IFD || K.IC (section 4.3.3,
// step 4), proves it and derives the session keys.
func (s *Session) finishBAC(answer response, block cipher.Block, macKey, sent []byte) error {
	switch {
	case answer.sw == 0x6300 || answer.sw>>4 == 0x63C:
		return fault(gate.ChipPassword, gate.CodePasswordRejected, stepBAC, answer.sw, nil)
	case !answer.ok():
		return refused(stepBAC, answer.sw)
	case len(answer.data) != 40:
		return nonsense(stepBAC, "an answer of %d bytes", len(answer.data))
	}
	sealed, sum := answer.data[:32], answer.data[32:]
	if !sameMAC(mac.RetailMAC(macKey, pad(sealed, 8)), sum) {
		return fault(gate.ChipNonsense, gate.CodeWrongToken, stepBAC, 0, nil)
	}
	msg := make([]byte, 32)
	defer clear(msg)
	cipher.NewCBCDecrypter(block, make([]byte, 8)).CryptBlocks(msg, sealed)
	rndIFD, rndIC := sent[:8], sent[8:16]
	if !sameMAC(msg[:8], rndIC) || !sameMAC(msg[8:16], rndIFD) {
		return fault(gate.ChipNonsense, gate.CodeWrongToken, stepBAC, 0, nil)
	}
	seed := make([]byte, 16)
	defer clear(seed)
	subtle.XORBytes(seed, sent[16:], msg[16:])
	// Section 9.8.6.3: the counter starts with the ends of both challenges.
	ssc := append(append(make([]byte, 0, 8), rndIC[4:]...), rndIFD[4:]...)
	s.sm = newSecure(suite3DES, seed, ssc)
	return nil
}
