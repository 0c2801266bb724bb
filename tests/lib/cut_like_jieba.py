# The words of each line of standard input as jieba cuts it, a JSON array a line. An argument: a lexicon (word TAB category TAB strength) whose words are made known first, as the diary's original does it.
import json
import logging
import sys

import jieba

jieba.setLogLevel(logging.ERROR)
if len(sys.argv) > 1:
    with open(sys.argv[1], encoding='utf-8') as rows:
        for row in rows:
            jieba.suggest_freq(row.split('\t')[0], True)
for line in sys.stdin.buffer.read().decode('utf-8').split('\n')[:-1]:
    print(json.dumps(list(jieba.cut(line)), ensure_ascii=False, separators=(',', ':')))
