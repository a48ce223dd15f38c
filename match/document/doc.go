// Package document judges travel documents: passive authentication, what the
// chip's proofs are worth, and what the proven data say. It implements
// gate.Judge by the rules of the inspection report, with results after BSI
// TR-03135 part 1 and cryptography after ICAO Doc 9303-10, -11 and -12.
//
// It talks to no chip and reads no file but the trust folder. Bytes are
// looked into only after their hash was found in a security object that did
// not fail; nothing of a group is reported whose content does not conform.
package document
