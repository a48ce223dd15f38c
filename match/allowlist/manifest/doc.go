// Package manifest reads the passenger lists that airlines send anyway and
// feeds an allowlist with their travellers:
//
//   - PNL and ADL telegrams: the passenger name list of a flight and its
//     additions and deletions (IATA Recommended Practice 1708; elements as in
//     Recommended Practice 1707b);
//   - PAXLST messages in UN/EDIFACT interchanges (directory D, as used for
//     advance passenger information; syntax of ISO 9735).
//
// # Guarantees
//
//   - Whoever cannot be named by a complete match key is reported and left out:
//     nobody gets on the list by a guess.
//   - What was cut is refused: a part that is missing, a telegram without its
//     end, a control count that does not fit. The error names message and part.
//   - What is reported names input, line or segment, field and reason, and never
//     repeats what stands there: these are people's data.
//   - Interchanges are read as a stream. Of telegrams the travellers are kept
//     until the last input has been read, since an ADL may come before its PNL;
//     their number is bounded.
//
// # What becomes of a traveller
//
// Each travel document with issuing state, type and whole number gives entries
// under that number. A booking says only "passport" or "identity card", so both
// forms in which a machine readable zone writes this are entered: P and PP, I and
// ID. A traveller without a complete number is entered under name, birth date
// and flight, if all three are there. The window follows from the departure:
// telegrams tell only its day, messages its time.
package manifest
