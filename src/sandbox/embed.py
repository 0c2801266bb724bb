"""embed.py INPUT OUTPUT FUNCTION: a C file whose function gives the bytes of INPUT as a span."""
import sys

data = open(sys.argv[1], 'rb').read()
rows = [','.join(str(b) for b in data[i:i + 32]) for i in range(0, len(data), 32)]
with open(sys.argv[2], 'w') as out:
    out.write('/* made by embed.py at build time */\n#include "sandbox/sandbox_in.h"\n\nstatic const unsigned char bytes[] = {\n' + ',\n'.join(rows)
              + '\n};\nstruct span %s(void) { return span_from(bytes, sizeof bytes); }\n' % sys.argv[3])
