package doc

import (
	"crypto"

	"gateagent/sim/chip"
)

// Sample is one kind of document that there is in the field.
type Sample struct {
	Name  string
	State string // who issued it
	ByCAN bool   // it is opened by the CAN, else by the printed lines
	make  func(w *World, opts ...Option) (*Document, error)
	opts  []Option
}

// Make makes the document. Alterations and further options come on top.
func (s Sample) Make(w *World, opts ...Option) (*Document, error) {
	return s.make(w, append(s.opts[:len(s.opts):len(s.opts)], opts...)...)
}

// holder is somebody with the papers of a state.
func holder(w *World, state string) Person {
	p := w.Foreigner(len(state) + int(state[0]))
	p.Nationality = state
	return p
}

func passportOf(state string) func(*World, ...Option) (*Document, error) {
	return func(w *World, opts ...Option) (*Document, error) { return w.Passport(holder(w, state), opts...) }
}

func cardOf(state string) func(*World, ...Option) (*Document, error) {
	return func(w *World, opts ...Option) (*Document, error) { return w.Card(holder(w, state), opts...) }
}

// Catalogue lists the documents by name. Together they have every access
// protocol, every proof of the chip and every habit that decides how fast a
// chip can be read.
func Catalogue() []Sample {
	return append(commonSamples(), rareSamples()...)
}

// commonSamples are what travellers bring.
func commonSamples() []Sample {
	ecdh := func(c chip.Cipher, curve string) Option { return ChipAuthWith(ChipAuth{Cipher: c, Curve: curve}) }
	habits := func(q chip.Quirks) Option { return WithQuirks(q) }
	return []Sample{
		{Name: "Vietnam's citizen card", State: "VNM", ByCAN: true, make: func(w *World, opts ...Option) (*Document, error) { return w.VietnamID(w.Citizen(1), opts...) }},
		{Name: "German identity card, CAN", State: "D", ByCAN: true, make: cardOf("D")},
		{Name: "EU passport, PACE and CA", State: "NLD", make: passportOf("NLD")},
		{Name: "US passport, BAC alone", State: "USA", make: passportOf("USA"), opts: []Option{OnlyBAC()}},
		{Name: "BAC and AA by RSA", State: "UTO", make: passportOf("UTO"), opts: []Option{OnlyBAC(), ActiveAuthWith(Algorithm{RSA: 1024, Hash: crypto.SHA1})}},
		{Name: "BAC and CA by MSE:Set KAT", State: "FRA", make: passportOf("FRA"), opts: []Option{
			OnlyBAC(), ChipAuthWith(ChipAuth{Cipher: chip.TripleDES, Curve: "P-256", NoInfo: true, KAT: true})}},
		{Name: "PACE and AA by ECDSA", State: "UTO", make: passportOf("UTO"), opts: []Option{
			PACEWith(chip.AES128, "P-256"), ChipAuthWith(), ActiveAuthWith(Algorithm{Curve: "P-256", Hash: crypto.SHA256})}},
		{Name: "PACE and CA on P-384", State: "NLD", make: passportOf("NLD"), opts: []Option{PACEWith(chip.AES256, "P-384"), ecdh(chip.AES256, "P-384")}},
		{Name: "small chunks, short length", State: "NLD", make: passportOf("NLD"), opts: []Option{
			PACEWith(chip.AES128, "P-256"), ecdh(chip.AES128, "P-256"), habits(chip.Quirks{NoExtended: true, MaxRead: 223})}},
		{Name: "chunks of 4096", State: "NLD", make: passportOf("NLD"), opts: []Option{
			PACEWith(chip.AES128, "P-256"), ecdh(chip.AES128, "P-256"), habits(chip.Quirks{MaxRead: 4096}), PortraitSize(20000)}},
		{Name: "portrait beyond 32 KiB", State: "D", make: passportOf("D"), opts: []Option{PACEWith(chip.AES128, "P-256"), ecdh(chip.AES128, "P-256"), PortraitSize(40000)}},
		{Name: "chip authentication mapping", State: "D", make: passportOf("D"), opts: []Option{
			PACEOffers(PACE{Cipher: chip.AES128, Curve: "brainpoolP256r1", Mapping: chip.ChipAuthMapping}), ChipAuthWith()}},
	}
}

// rareSamples are allowed by the standard and seldom seen.
func rareSamples() []Sample {
	cam := PACE{Cipher: chip.AES256, Curve: "P-384", Mapping: chip.ChipAuthMapping}
	return []Sample{
		{Name: "integrated mapping on P-521 alone", State: "NLD", make: passportOf("NLD"), opts: []Option{
			PACEOffers(PACE{Cipher: chip.AES256, Curve: "P-521", Mapping: chip.IntegratedMapping}), ChipAuthWith(ChipAuth{Cipher: chip.AES256, Curve: "P-521"})}},
		{Name: "mapping with CA and AA", State: "NLD", make: passportOf("NLD"), opts: []Option{
			PACEOffers(cam, PACE{Cipher: chip.AES128, Curve: "P-256"}), ChipAuthWith(ChipAuth{Cipher: chip.AES256, Curve: "P-384"}),
			ActiveAuthWith(Algorithm{Curve: "P-256", Hash: crypto.SHA256})}},
		{Name: "PACE and CA by DH", State: "UTO", make: cardOf("UTO"), opts: []Option{
			PACEOffers(PACE{Cipher: chip.AES128, Group: 2}), ChipAuthWith(ChipAuth{Cipher: chip.AES128, Group: 2})}},
		{Name: "integrated mapping by DH", State: "UTO", make: cardOf("UTO"), opts: []Option{
			PACEOffers(PACE{Cipher: chip.TripleDES, Group: 0, Mapping: chip.IntegratedMapping}),
			ChipAuthWith(ChipAuth{Cipher: chip.TripleDES, Group: 0, Parameters: NamedCurve})}},
		{Name: "brainpoolP512r1 throughout", State: "SWE", make: passportOf("SWE"), opts: []Option{
			PACEWith(chip.AES256, "brainpoolP512r1"), ChipAuthWith(ChipAuth{Cipher: chip.AES256, Curve: "brainpoolP512r1"})}},
		{Name: "several PACE", State: "FRA", make: passportOf("FRA"), opts: []Option{
			PACEOffers(PACE{Cipher: chip.AES192, Curve: "P-384"}, PACE{Cipher: chip.AES128, Curve: "P-256", Mapping: chip.IntegratedMapping}, PACE{Cipher: chip.TripleDES, Curve: "P-224"}),
			ChipAuthWith(ChipAuth{Cipher: chip.TripleDES, Curve: "P-224"})}},
		{Name: "several CA keys", State: "NLD", make: passportOf("NLD"), opts: []Option{
			PACEWith(chip.AES128, "P-256"), ChipAuthWith(
				ChipAuth{Cipher: chip.TripleDES, Curve: "P-256", KeyID: 1}, ChipAuth{Cipher: chip.AES256, Curve: "P-384", KeyID: 2, Parameters: NamedCurve}, ChipAuth{Cipher: chip.AES128, Group: 1, KeyID: 3})}},
		{Name: "AA by RSA of 4096 bits", State: "NLD", make: passportOf("NLD"), opts: []Option{
			PACEWith(chip.AES128, "P-256"), ChipAuthWith(), ActiveAuthWith(Algorithm{RSA: 4096, Hash: crypto.SHA512})}},
		{Name: "AA by ECDSA in DER", State: "UTO", make: passportOf("UTO"), opts: []Option{
			OnlyBAC(), ActiveAuthWith(Algorithm{Curve: "brainpoolP384r1", Hash: crypto.SHA384}), ActiveForm(chip.ActiveForm{DER: true})}},
		{Name: "portrait after ISO 39794-5", State: "D", make: passportOf("D"), opts: []Option{Face(ISO39794, JP2)}},
		{Name: "portrait as a bare codestream", State: "NLD", make: passportOf("NLD"), opts: []Option{Face(ISO19794, BareJP2), Faces(2, false)}},
		{Name: "PACE without any proof", State: "NLD", make: passportOf("NLD"), opts: []Option{PACEWith(chip.AES128, "P-256"), ChipAuthWith()}},
		{Name: "no short identifiers", State: "NLD", make: cardOf("NLD"), opts: []Option{
			PACEWith(chip.AES128, "P-256"), ChipAuthWith(ChipAuth{Cipher: chip.AES128, Curve: "P-256"}),
			WithQuirks(chip.Quirks{NoShortEF: true, NoLeOnSelect: true, SelectAppFirst: true, MaxRead: 1024, TooLongStatus: 0x6700})}},
	}
}
