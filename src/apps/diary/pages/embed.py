"""embed.py OUTPUT FILE...: a C file with the table page_assets (apps/diary/pages.h), one row for each FILE under its own name."""
import os
import sys

TYPES = {'.css': 'text/css; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.svg': 'image/svg+xml', '.html': 'text/html; charset=utf-8'}

arrays, rows = [], []
for i, path in enumerate(sys.argv[2:]):
    with open(path, 'rb') as file:
        data = file.read()
    lines = [','.join(str(b) for b in data[at:at + 32]) for at in range(0, len(data), 32)]
    arrays.append('static const unsigned char file_%d[] = {\n%s\n};\n' % (i, ',\n'.join(lines)))
    name = os.path.basename(path)
    rows.append('    { "%s", "%s", file_%d, sizeof file_%d },\n' % (name, TYPES[os.path.splitext(name)[1]], i, i))
with open(sys.argv[1], 'w') as out:
    out.write('/* made by pages/embed.py at build time */\n#include "apps/diary/pages.h"\n\n' + ''.join(arrays)
              + '\nconst struct page_asset page_assets[] = {\n' + ''.join(rows) + '    { 0 }\n};\n')
