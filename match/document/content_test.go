package document

import (
	"bytes"
	"crypto"
	"runtime"
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/internal/ber"
	"gateagent/match/document/lds"
	"gateagent/match/document/pki"
	"gateagent/sim/chip"
	"gateagent/sim/doc"
)

// maxMemory is what one document may take at most; what is taken in sum is
// held against it, which is the stricter measure.
const maxMemory = 16 << 20

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Every form of every group that the factory knows conforms, and its fields
// are reported.
func TestContentConforms(t *testing.T) {
	j := trusting(t)
	everything := doc.Groups(5, 6, 7, 8, 9, 10, 11, 12, 13, 16)
	for name, c := range map[string]struct {
		opts   []doc.Option
		format string
	}{
		"39794, JPEG": {[]doc.Option{doc.Face(doc.ISO39794, 0)}, "jpeg"}, "39794, JP2": {[]doc.Option{doc.Face(doc.ISO39794, doc.JP2), doc.Faces(2, true)}, "jp2"},
		"19794, codestream": {[]doc.Option{doc.Face(doc.ISO19794, doc.BareJP2), doc.Faces(2, false)}, "jp2"}, "three in a record": {[]doc.Option{doc.Faces(3, true)}, "jpeg"},
	} {
		d := must[*doc.Document](t)(world().Passport(traveller("NLD"), append(c.opts, everything, doc.FullDetails(), doc.PortraitSize(9000))...))
		k := j.NewCase(now)
		var r report
		if used := allocated(func() { r = read(k, d, gate.Scan{}) }); used > maxMemory/4 {
			t.Errorf("%s: %d KiB", name, used>>10)
		}
		for n := 1; n <= 16; n++ {
			if c, ok := r[gate.CheckDG(n)]; ok && c.Result != gate.Successful {
				t.Errorf("%s: DG%d: %v", name, n, c)
			}
		}
		if p, ok := k.Portrait(); !ok || p.Format != c.format || p.Bytes != 9000 || p.Width < 1 || p.Height < 1 {
			t.Errorf("%s: %v, %s of %d bytes, %d × %d", name, ok, p.Format, p.Bytes, p.Width, p.Height)
		}
	}
}

// hashed is a case whose proven security object lists the given groups.
func hashed(groups map[int][]byte) *docCase {
	o := &lds.SecurityObject{Hash: crypto.SHA256, Hashes: map[int][]byte{}}
	for n, raw := range groups {
		o.Hashes[n] = pki.Sum(crypto.SHA256, raw)
	}
	return &docCase{trust: &Trust{}, at: now, sod: gate.Successful, object: o, signer: &pki.Certificate{Issuer: pki.Name{Country: "UT"}}}
}

// A group whose hash is right and whose content does not conform is U, and
// nothing of it is reported; the others are judged as ever.
func TestContentMalformed(t *testing.T) {
	zone := []byte("I<UTOD231458907<<<<<<<<<<<<<<<7408122F3404159UTO<<<<<<<<<<<2ERIKSSON<<ANNA<MARIA<<<<<<<<<<")
	good := ber.Make(0x61, ber.Make(0x5F1F, zone))
	for name, c := range map[string]struct {
		n    int
		raw  []byte
		want gate.Result
	}{
		"DG1": {1, good, gate.Successful}, "DG1 as DG2": {1, append([]byte{0x75}, good[1:]...), gate.Undetermined}, "DG1 with more": {1, append(bytes.Clone(good), 0), gate.Undetermined},
		"DG1 a letter short": {1, ber.Make(0x61, ber.Make(0x5F1F, zone[1:])), gate.Undetermined}, "DG1 in lower case": {1, ber.Make(0x61, ber.Make(0x5F1F, bytes.ToLower(zone))), gate.Undetermined},
		"DG1 a visa": {1, ber.Make(0x61, ber.Make(0x5F1F, append([]byte("V<"), bytes.Repeat([]byte("<"), 86)...))), gate.Undetermined}, "DG1 empty": {1, nil, gate.Undetermined},
		"DG2 no picture": {2, ber.Make(0x75, ber.Make(0x7F61, ber.Make(2, []byte{1}), ber.Make(0x7F60, ber.Make(0x5F2E, []byte("noise"))))), gate.Undetermined},
		"DG13":           {13, []byte("national by definition"), gate.Successful}, "DG13 empty": {13, nil, gate.Successful}, "DG14": {14, ber.Make(0x6E, ber.Make(0x30)), gate.Undetermined}, "DG14 of nothing": {14, ber.Make(0x6E, ber.Make(0x31)), gate.Successful},
		"DG15": {15, ber.Make(0x6F, []byte("noise")), gate.Undetermined}, "DG15 of another kind": {15, ber.Make(0x6F, ber.Make(0x30, ber.Make(0x30, pki.EncodeOID("1.3.101.112")), ber.Make(3, make([]byte, 33)))), gate.Successful},
		"DG11": {11, ber.Make(0x6B, []byte{1}), gate.Undetermined}, "DG16": {16, ber.Make(0x70, ber.Make(2, []byte{3})), gate.Undetermined}, "DG7": {7, []byte{0x67, 0x80}, gate.Undetermined},
	} {
		k := hashed(map[int][]byte{c.n: c.raw, 5: {0x65}})
		got := k.DataGroup(c.n, clone(c.raw))
		if got.Result != c.want || c.want == gate.Undetermined && got.Code != gate.CodeDGContent {
			t.Errorf("%s: %v", name, got)
		}
		_, document := k.Document()
		_, portrait := k.Portrait()
		if document != (name == "DG1") || portrait || k.OffersChipAuth() || k.OffersActiveAuth() != (name == "DG15 of another kind") {
			t.Errorf("%s: document %v, portrait %v, chip authentication %v, active authentication %v", name, document, portrait, k.OffersChipAuth(), k.OffersActiveAuth())
		}
		for _, p := range k.Person(gate.Scan{})[:2] { // issuer and expiry
			if (p.Result == gate.Successful) != (name == "DG1") {
				t.Errorf("%s: %v", name, p)
			}
		}
		turned := append(clone(c.raw), 1)
		if got := k.DataGroup(c.n, turned); got.Result != gate.Failed || got.Code != gate.CodeDGHash {
			t.Errorf("%s, altered: %v", name, got)
		}
		if got := k.DataGroup(9, c.raw); got.Result != gate.Failed || got.Code != gate.CodeDGNotListed {
			t.Errorf("%s, not listed: %v", name, got)
		}
	}
}

// Files of a chip that knows how parsers work: as large as they are ever read,
// of what costs most. Neither memory nor time may run away.
func TestHostileFiles(t *testing.T) {
	const large = 64 << 10
	fill := func(b ...byte) []byte { return bytes.Repeat(b, large/len(b)) }
	wrap := func(content, certs, signers []byte) []byte {
		body := ber.Make(ber.Sequence, ber.Make(2, []byte{3}), ber.Make(0x31), ber.Make(0x30, pki.EncodeOID(lds.OIDSecurityObject), ber.Make(0xA0, content)), ber.Make(0xA0, certs), ber.Make(0x31, signers))
		return ber.Make(0x77, ber.Make(0x30, pki.EncodeOID("1.2.840.113549.1.7.2"), ber.Make(0xA0, body)))
	}
	genuine := must[*doc.Document](t)(world().Passport(traveller("NLD"))).File(chip.FileSOD)
	state := must[*doc.State](t)(world().State("NLD"))
	certs := bytes.Repeat(state.Signer.Certificate, min(60, large/len(state.Signer.Certificate)))
	octets := ber.Make(4, []byte("x"))
	for name, raw := range map[string][]byte{
		"indefinite nesting": ber.Make(0x77, fill(0x30, 0x80)), "pieces": wrap(ber.Make(0x24, fill(4, 1, 1)), nil, nil), "nested pieces": wrap(ber.Make(0x24, ber.Make(0x24, ber.Make(0x24, fill(4, 0)))), nil, nil),
		"certificates": wrap(octets, certs, fill(0x30, 0)), "empty certificates": wrap(octets, fill(0x30, 0), fill(0x30, 0)), "signers": wrap(octets, certs, fill(0x30, 0)), "zeros": ber.Make(0x77, fill(0)),
		"sets": ber.Make(0x77, fill(0x31, 0)), "object identifiers": ber.Make(0x77, ber.Make(0x30, ber.Make(6, fill(0xFF)))), "genuine and more": append(clone(genuine), fill(0)...),
	} {
		start := time.Now()
		used := allocated(func() {
			k := trusting(t, "NLD").NewCase(now)
			k.SecurityObject(clone(raw))
			k.CardSecurity(clone(raw[1:]))
			k.COM(clone(raw))
			for n := 1; n <= 16; n++ {
				k.DataGroup(n, raw)
				g := hashed(map[int][]byte{n: raw})
				g.DataGroup(n, raw)
				g.ActiveAuth(challenge, raw)
			}
			k.PromisesPACE(raw)
			k.Wipe()
		})
		if took := time.Since(start); used > maxMemory/4 || took > 5*time.Second {
			t.Errorf("%s: %d KiB, %v", name, used>>10, took)
		}
	}
}
