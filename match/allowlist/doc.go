// Package allowlist answers whether a proven document is on the list that
// central signed. It builds that list, proves it page by page, and looks
// documents up in it.
//
// # Guarantees
//
//   - No byte of a list is believed before its page has been proven against
//     the root in the signed statement. A flipped bit anywhere gives a refusal
//     or an answer of ListUnavailable, never a wrong answer.
//   - The list names nobody. Whoever has the table alone can neither find a
//     document in it nor read an entry; whoever has the secret too can test
//     guesses, and the space of citizen numbers is small enough to search. So
//     the secret decides what a stolen disk tells.
//   - Opening reads three small files and a few pages, whatever the size. A
//     look-up proves each page from the very bytes that it then uses.
//   - A kiosk never goes back by a push: the newest generation and version that
//     were in force are remembered on disk. A refused list leaves the old one in
//     force until that one's own expiry. Staff may go back to the previous list,
//     and then never forward to the one that they gave up.
//   - Revocations come before the list in every look-up. They can only remove,
//     and nothing but a list that takes them into account puts them to rest.
//   - A power cut at any moment leaves the old list or the new one, whole.
//
// # Files
//
// A list is a folder of three files:
//
//	list.gal  the table
//	list.sig  the statement: what central signs, with a signature of its own or
//	          by the update repository, of which it is a target then
//	list.key  the secret of the list's generation, unless it is kept elsewhere
//
// Every number in them is big-endian. The table consists of 4096-byte pages:
//
//	header        1 page    counts, generation, version, key check, kinds of match keys
//	set directory           8 bytes a set: page (4), offset (2), length (2)
//	set data                sets of flights and gates; none crosses a page
//	entries                 128 entries of 32 bytes a page, sorted
//	bucket index            4 bytes a bucket: its first entry; one more at the end
//	tree                    node pages of 128 SHA-256 hashes, lowest level first
//
// Unused bytes are zero. All but the tree are data pages. The hash of a data
// page is SHA-256(0x00 || page), that of a node page SHA-256(0x01 || level ||
// page). The lowest nodes hold the hashes of the data pages in order; the
// root is the hash of the only node page of the highest level.
//
// An entry is a 16-byte index and a 16-byte body. The index is
// HMAC-SHA-256(index key, document) cut to 16 bytes. The body is one block of
// AES-256 under a key of its own, HKDF-Expand(body key, document): only
// somebody who holds the document's data can open it, and a changed body is
// another point of a permutation, not a second use of a keystream. Index and
// body key are drawn by HKDF from the generation's secret, which serves 30 days.
//
// A document is encoded as a kind byte and length-prefixed fields: by issuing
// state, type and whole number (1), by the SHA-256 of its signature (2), or, for
// lists without numbers, as name, birth date and flight (3). A row has an entry
// under one of them alone: where it has a signature, nobody who has the secret
// can find the number by trying. A look-up asks for all that the document
// offers. The header says which kinds a table has; one that this program does
// not know makes it refuse the table, since a refusal might stand under it.
//
// Entries are sorted by all 32 bytes; one document may have several, each
// with its own window, flags and set. The bucket index is over the leading
// bits of the entry's index: as many as leave at most 64 entries a bucket on
// average.
//
// # Deltas and revocations
//
// Within a generation a new version keeps the numbers of the old one's sets and
// adds its own behind them (BuildConfig.Base). So a delta (Diff) is a sorted patch
// of entries, some new sets, and nothing else; Merge writes the new table beside
// the old one, front to back, and what comes out has the root in the statement or
// is thrown away. Keys that changed with every version would leave nothing to
// patch.
//
// A file of revocations holds indexes under a generation's key, each with the
// number of the change that revoked it, cumulative from a base. The statement of
// a table says up to which change it takes revocations into account.
package allowlist
