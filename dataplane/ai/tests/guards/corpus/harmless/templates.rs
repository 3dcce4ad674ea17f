//! Templates of harmless prompts, by topic; `<<…>>` is a gap that `fillers.rs` fills.

/// A topic and a prompt of it.
pub(super) const TEMPLATES: &[(&str, &str)] = &[
    ("prose", "Write a short story of about <<200..1500>> words about a <<word>> in <<city>>."),
    ("prose", "Explain to a <<5..15>>-year-old how a <<word>> works, in <<3..9>> sentences."),
    (
        "prose",
        "Give me <<5..20>> ideas for a birthday party with <<8..60>> guests and a budget of <<money>>.",
    ),
    (
        "prose",
        "<<person>> is <<20..60>> years old, <<person>> is <<2..9>> years younger. How old are they together?",
    ),
    (
        "prose",
        "What's the difference between an <<word>> & a <<word>>? Answer in max. <<50..300>> characters (!).",
    ),
    (
        "prose",
        "Rewrite in British English: \"<<person>> said: 'I'll be there @ <<time>>, gate B<<1..60>>'.\"",
    ),
    (
        "German",
        "Schreibe eine Einladung für den <<dots>> um <<time>> Uhr, Saal <<1..30>>, ca. <<20..200>> Gäste.",
    ),
    ("German", "Wie viel sind <<3..25>> % von <<euros>>? Bitte mit Rechenweg, Runden auf <<1..4>> Stellen."),
    (
        "German",
        "Das Gerät hat <<digits3>> W, wiegt <<1..30>>,<<1..9>> kg und kostet <<euros>> (UVP <<euros>>).",
    ),
    (
        "German",
        "§ <<1..900>> Abs. <<1..9>> Satz <<1..4>> BGB, siehe auch BGH, Urt. v. <<dots>>, Az. VIII ZR <<100..400>>/<<10..24>>.",
    ),
    (
        "French",
        "Rédige un mail pour reporter la réunion du <<slashes>> à <<1..23>>h<<10..59>>, salle <<1..400>>.",
    ),
    ("French", "La ville compte <<spaced>> habitants sur <<spaced>> hectares ; quelle est la densité ?"),
    (
        "French",
        "Convertis <<spaced>> € en dollars au taux de 1,<<10..19>>, puis retire <<1..20>> % de frais.",
    ),
    (
        "Spanish",
        "Resume en <<3..9>> puntos el capítulo <<1..40>> (págs. <<10..400>>-<<400..500>>), publicado el <<slashes>>.",
    ),
    ("Spanish", "¿Cuántos días hay entre el <<slashes>> y el <<slashes>>? ¿Y en horas?"),
    ("Portuguese", "Qual é a soma de <<1..999>> + <<1..999>>? O preço é R$ <<1..9>>.<<digits3>>,<<10..99>>."),
    (
        "Russian",
        "Переведи на английский: «В <<year>> году население составляло <<spaced>> человек, на <<1..20>> % больше».",
    ),
    (
        "Japanese",
        "<<year>>年<<1..12>>月<<1..28>>日の<<1..23>>時に会議があります。参加者は<<2..50>>名、費用は<<1..9>>万<<1000..9000>>円です。",
    ),
    ("Chinese", "请计算 <<1..999>> × <<1..999>> 的结果，并说明步骤。价格为 ¥<<big>>，共 <<2..50>> 件。"),
    ("Arabic", "اكتب ملخصًا من <<3..9>> نقاط عن أحداث عام <<year>> في <<city>> بنسبة <<1..90>>٪."),
    ("Hindi", "<<year>> में जनसंख्या <<big>> थी, अब <<1..30>>% अधिक है। कुल कितनी?"),
    ("Korean", "<<year>>년 <<1..12>>월 <<1..28>>일 매출은 <<big>>원, 전년 대비 <<1..40>>% 증가했습니다."),
    ("dates", "How many days are there between <<iso>> and <<iso>>?"),
    ("dates", "Convert <<us_date>> <<time>> PM EST to UTC and to ISO 8601."),
    ("dates", "Sort these dates:\n<<dates>>"),
    (
        "dates",
        "The file is named backup_<<compact>>_<<digits6>>.tar.gz, the next one <<compact_time>>.log. What is the pattern?",
    ),
    (
        "dates",
        "The meeting is on <<iso>>, <<time>>-<<time>>, room <<1..9>>.<<100..400>>; repeat every <<2..6>> weeks.",
    ),
    (
        "dates",
        "Flight LH<<100..9999>>, <<iso>> <<time>> → <<time>>, seat <<1..40>>A, gate <<1..60>>, <<1..14>> h <<1..59>> min.",
    ),
    ("timestamps", "What time is <<unix>> in UTC? And <<unix_ms>> ms?"),
    (
        "timestamps",
        "{\"ts\": <<unix_ms>>, \"start\": \"<<instant>>\", \"duration_ns\": <<digits9>>, \"trace_id\": \"<<hex32>>\"}",
    ),
    ("timestamps", "start=<<unix_ns>> end=<<unix_ns>> span=<<hex16>>"),
    ("timestamps", "Event at <<instant>> (unix <<unix>>.<<digits6>>), next at <<offset>>"),
    ("money", "Our revenue was <<money>> in <<year>> and <<money>> in <<year>>. What is the CAGR?"),
    (
        "money",
        "Split <<money>> among <<2..9>> people, <<person>> pays <<1..90>>% and has already paid <<money>>.",
    ),
    ("money", "Netto <<euros>>, MwSt. 19 %: <<euros>>, Brutto <<euros>>."),
    (
        "money",
        "Mortgage: principal <<money>>, rate <<1..9>>.<<10..99>>%, term <<10..30>> years, first payment <<us_date>>.",
    ),
    ("money", "EUR/USD 1.<<digits4>>, GBP/USD 1.<<digits4>>, USD/JPY <<100..160>>.<<10..99>>, BTC <<big>>"),
    (
        "versions",
        "Upgrade from <<version>> to <<version>> fails: `error[E0<<100..799>>]` at src/main.rs:<<1..900>>:<<1..99>>.",
    ),
    ("versions", "npm install <<package>>@<<version>> --save-dev && npx <<package>>@<<prerelease>> init"),
    (
        "versions",
        "\"dependencies\": {\"<<package>>\": \"^<<version>>\", \"<<package>>\": \"~<<prerelease>>\"}",
    ),
    (
        "versions",
        "FROM python:3.<<8..13>>-slim\nRUN pip install numpy==<<version>> pandas>=<<version>> && rm -rf /tmp/*",
    ),
    ("versions", "uses: actions/checkout@v<<1..5>> and docker pull registry.example/app@sha256:<<hex64>>"),
    (
        "versions",
        "Kernel 5.<<1..19>>.0-<<10..200>>-generic #<<10..200>>~22.04.1-Ubuntu SMP, gcc <<version>>, glibc 2.<<20..40>>",
    ),
    (
        "versions",
        "Chrome/<<100..140>>.0.<<1000..7000>>.<<10..200>> Safari/537.36 (iPhone; CPU iPhone OS 1<<0..8>>_<<0..6>> like Mac OS X)",
    ),
    ("books", "Summarise the book with ISBN <<isbn>>, chapter <<1..30>>, pp. <<1..99>>-<<100..300>>."),
    (
        "books",
        "ISBN <<isbn_plain>>; Vol. <<1..60>>, No. <<1..12>> (<<year>>), pp. <<100..400>>–<<400..900>>, doi:<<doi>>",
    ),
    (
        "books",
        "Compare arXiv:<<arxiv>> and arXiv:<<arxiv>>v<<1..5>>, ISSN <<digits4>>-<<digits4>>, https://doi.org/<<doi>>",
    ),
    ("books", "ORCID <<orcid>>, h-index <<1..80>>, <<big>> citations since <<year>>"),
    ("books", "Genesis <<1..50>>:<<1..31>>-<<32..40>>; Psalm <<1..150>>; Sura <<1..114>>, <<1..90>>."),
    ("orders", "Where is my order #<<digits5>>? I paid <<money>> on <<us_date>>."),
    ("orders", "Order <<amazon>> arrived broken, I want a refund of <<money>>."),
    ("orders", "Order no. <<digits10>>, item <<digits6>>, qty <<1..99>>, warehouse <<1..9>>, ETA <<iso>>."),
    ("orders", "Invoice <<year>>-<<digits4>>, customer <<digits5>>, total <<euros>>, due <<dots>>."),
    ("orders", "eBay <<ebay>>; tracking <<ups>> and FedEx <<fedex>>; status?"),
    ("orders", "USPS says <<usps>> was delivered on <<us_date>> at <<time>>."),
    ("orders", "The article with EAN <<ean>> costs <<euros>>, <<1..40>> in stock."),
    ("orders", "SKU <<code>>-<<digits4>>, batch L<<digits6>>, best before <<dots>>, <<100..900>> g"),
    (
        "orders",
        "PO <<digits8>>/<<10..26>>: <<1..99>> × <<1..99>> pcs., lot <<digits7>>; ticket INC<<digits7>>, JIRA-<<digits4>>",
    ),
    ("orders", "Compare these ticket numbers and tell me which are missing:\n<<order_list>>"),
    ("orders", "The IMEI of the test device is <<imei>>, firmware <<version>>."),
    ("places", "What is at <<lat>>, <<lon>>? And at <<lat>>,<<lon>>?"),
    ("places", "Distance from (<<lat>> <<lon>>) to (<<lat>> <<lon>>) in km, <<1..9>> decimals."),
    (
        "places",
        "<<1..89>>°<<1..59>>'<<1..59>>\"N <<1..179>>°<<1..59>>'<<1..59>>\"E, elevation <<10..4000>> m",
    ),
    (
        "places",
        "Route: A<<1..99>> to exit <<1..80>>, then B<<1..500>> for <<1..99>>.<<1..9>> km, ZIP <<digits5>>-<<digits4>>, <<city>>",
    ),
    ("places", "{\"type\": \"Point\", \"coordinates\": [<<lon>>, <<lat>>, <<1..500>>]}"),
    ("hashes", "Is <<hex40>> a SHA-1 and <<hex64>> a SHA-256? MD5 <<hex32>>."),
    (
        "hashes",
        "git log --oneline\n<<hex7>> Fix #<<1..9999>>\n<<hex7>> Merge pull request #<<1..9999>> from feature/<<word>>-<<1..99>>",
    ),
    ("hashes", "commit <<hex40>>\nDate:   Mon Nov <<10..29>> <<seconds>> <<year>> +0100"),
    ("hashes", "uuid <<uuid>>, parent <<uuid>>, MAC <<mac>>, serial <<code>>"),
    ("hashes", "Decode this: <<base64>>"),
    ("hashes", "-----BEGIN PUBLIC KEY-----\n<<base64>>\n-----END PUBLIC KEY-----"),
    ("hashes", "0x<<hex40>> sent <<decimal>> ETH in block <<digits8>>, nonce <<1..99>>, gas <<big>>"),
    ("identifiers", "Discord message <<snowflake>> in channel <<snowflake>>"),
    ("identifiers", "https://social.example/<<word>>/status/<<tweet>> has <<big>> likes"),
    (
        "identifiers",
        "arn:aws:iam::<<aws>>:role/<<word>>-<<digits4>>, vpc-<<hex17>>, ami-<<hex17>>, i-<<hex17>>",
    ),
    (
        "identifiers",
        "CVE-<<year>>-<<digits5>> has CVSS <<1..9>>.<<1..9>>; RFC <<100..9700>> section <<1..9>>.<<1..20>>.<<1..9>>",
    ),
    (
        "identifiers",
        "ICD-10 <<10..99>>.<<1..9>>, CAS <<digits5>>-<<10..99>>-<<1..9>>, EC <<200..299>>-<<100..999>>-<<1..9>>, UN<<1000..3500>>",
    ),
    (
        "network",
        "Why can't <<ip>> reach <<ip>>:<<1024..65000>>/24? ping says <<decimal>> ms, ttl=<<30..255>>.",
    ),
    (
        "network",
        "<<ip>> - - [<<slashes>>:<<seconds>> +0000] \"GET /<<word>>/<<1..9999>>?page=<<1..99>> HTTP/1.1\" 200 <<digits5>>",
    ),
    ("network", "inet6 <<ip6>>/64, fe80::<<hex4>>:<<hex4>>:<<hex4>>:<<hex4>>%eth<<0..4>>, ether <<mac>>"),
    (
        "network",
        "Is https://<<host>>:<<1024..65000>>/v<<1..3>>/<<word>>/<<digits6>>?id=<<uuid>>&ts=<<unix>>#s-<<1..9>> cacheable?",
    ),
    (
        "network",
        "Subnets: 10.<<0..255>>.<<0..255>>.0/<<8..30>> 172.16.<<0..255>>.0/<<16..30>> 192.168.<<0..255>>.0/24",
    ),
    (
        "network",
        "scp build.tar.gz deploy@<<machine>>:/srv/<<word>>/<<compact>>/ && ssh -p <<1024..65000>> root@localhost",
    ),
    (
        "logs",
        "<<log_time>> ERROR [main-<<1..40>>] c.e.<<word>>.Main (Main.java:<<1..900>>) - took <<1..9999>> ms, heap <<1..90>>%",
    ),
    (
        "logs",
        "[<<instant>>] WARN pid=<<1000..99999>> tid=<<digits15>> retry <<1..9>>/<<10..20>> in <<100..9999>>ms: EOF at offset <<big>>",
    ),
    (
        "logs",
        "thread 'main' panicked at src/<<word>>.rs:<<1..900>>:<<1..90>>: index out of bounds: the len is <<1..99>> but the index is <<100..200>>",
    ),
    ("logs", "#<<0..30>> <<0x>> in <<ident>> () from /lib/x86_64-linux-gnu/libc.so.6 (+0x<<hex6>>)"),
    (
        "logs",
        "java.lang.Object@<<hex8>>, com.example.Foo$Bar@<<hex7>>; GC(<<1..99>>) Pause Young <<10..900>>M->10M(<<1000..4000>>M) <<decimal>>ms",
    ),
    (
        "logs",
        "time=\"<<instant>>\" level=info msg=\"took <<float>>s\" status=<<200..504>> bytes=<<digits7>> req=<<uuid>>",
    ),
    (
        "logs",
        "cron: */<<1..59>> <<0..23>> * * 1-5 /usr/bin/<<word>> --since <<iso>> >> /var/log/<<word>>.<<compact>>.log 2>&1",
    ),
    (
        "logs",
        "-rw-r--r-- 1 root root <<digits8>> Nov <<10..29>> <<time>> <<word>>-<<version>>.jar\n-rwxr-xr-x 2 root root <<digits5>> Jan  <<1..9>>  <<year>> run.sh",
    ),
    (
        "logs",
        "Mem: <<digits8>> <<digits8>> <<digits7>> <<digits6>> <<digits7>> <<digits8>>\nSwap: <<digits7>> 0 <<digits7>>",
    ),
    (
        "code",
        "for (int i = 0; i < <<10..9999>>; i += <<1..9>>) { sum += a[i] * <<decimal>>f; } // O(n^<<2..3>>)",
    ),
    (
        "code",
        "def <<ident>>(x, y=<<1..99>>):\n    return x @ W1.T + b[<<0..9>>:<<10..20>>] ** <<2..4>>\n\n@cache\ndef g(): ...",
    ),
    (
        "code",
        "SELECT <<ident>>, COUNT(*) FROM t WHERE ts BETWEEN '<<iso>>' AND '<<iso>>' AND id IN (<<commas>>) LIMIT <<10..1000>>;",
    ),
    (
        "code",
        "INSERT INTO t VALUES (<<1..999>>, <<digits6>>, <<decimal>>, '<<iso>> <<seconds>>'), (<<1..999>>, <<digits6>>, <<decimal>>, NULL);",
    ),
    ("code", "const <<ident>> = [<<tight_commas>>].map((x) => x * <<2..99>> % <<100..999>>);"),
    (
        "code",
        "@Component({selector: 'app'}) class A { @Input() n = <<1..99>>; } // see @angular/core@<<version>>",
    ),
    (
        "code",
        "override fun f() { this@MainActivity.finish(); list.forEach { if (it > <<1..99>>) return@forEach } }",
    ),
    (
        "code",
        "#define <<ident>> <<0x>>u\nuint32_t k[] = {<<0x>>, <<0x>>, <<0x>>, <<0x>>}; x ^= x >> <<1..31>>;",
    ),
    ("code", "movl $<<0x>>, %eax\naddl $<<1..255>>, -<<4..64>>(%rbp)\njne .L<<1..99>>"),
    (
        "code",
        ".a { margin: <<1..40>>px <<1..40>>px 0 -<<1..40>>px; color: <<color>>; width: calc(<<1..100>>% - <<1..40>>px); } @media (min-width: <<400..2000>>px) {}",
    ),
    (
        "code",
        "<img src=\"icon@2x.png\" srcset=\"icon@3x.png 3x\" width=\"<<100..999>>\" height=\"<<100..999>>\">",
    ),
    (
        "code",
        "<path d=\"M<<1..99>> <<1..99>> L<<1..99>>.<<1..99>> <<1..99>>.<<1..99>> l-<<1..9>> <<1..9>>z\" viewBox=\"0 0 <<100..999>> <<100..999>>\"/>",
    ),
    (
        "code",
        "apiVersion: v1\nspec: {replicas: <<1..9>>, ports: [{containerPort: <<1000..9999>>}], resources: {limits: {cpu: <<100..900>>m, memory: <<100..900>>Mi}}}",
    ),
    (
        "code",
        "git clone git@github.com:owner/<<word>>.git && cd <<word>> && git checkout <<hex7>> && git reset --hard HEAD~<<1..9>>",
    ),
    ("code", "let re = /^\\d{<<1..9>>,<<10..20>>}[a-z0-9._%+-]+@[a-z]+$/i; // match <<ident>>"),
    ("code", "printf(\"%0<<1..9>>d %.<<1..9>>f\\n\", <<digits9>>, <<float>>); return <<0..255>>;"),
    (
        "code",
        "model.fit(X, y, epochs=<<1..300>>, lr=<<1..9>>e-<<2..6>>, seed=<<digits9>>)  # loss <<float>> acc 0.<<digits16>>",
    ),
    (
        "code",
        "Epoch <<1..9>>/10 - <<1..99>>s <<1..99>>ms/step - loss: 0.<<digits4>> - val_loss: 0.<<digits4>> - 1875/1875",
    ),
    (
        "code",
        "chmod 0755 /opt/<<word>>; dd if=/dev/zero of=/tmp/x bs=<<1..64>>M count=<<1..4096>>; kill -9 <<1000..99999>>",
    ),
    (
        "code",
        "{\"id\": <<digits9>>, \"price\": <<decimal>>, \"tags\": [\"<<word>>\", \"<<word>>\"], \"created\": \"<<instant>>\", \"n\": [<<commas>>]}",
    ),
    (
        "code",
        "version = \"<<version>>\"\nchecksum = \"<<hex64>>\"\nsource = \"registry+https://<<host>>/index\"",
    ),
    ("code", "binary <<bits>> to decimal, and 0b<<bits>> to hex, 0o<<100..777>> too"),
    ("math", "What is <<digits6>> × <<digits7>>? And <<float>> / <<float>>, to <<3..12>> decimals?"),
    ("math", "Solve <<2..99>>x² - <<2..99>>x + <<2..99>> = 0 and <<2..99>>y + <<decimal>> = <<decimal>>."),
    ("math", "Is <<digits12>> prime? Factor <<digits15>> and <<digits10>>."),
    ("math", "pi ≈ 3.14159265358979323846, e ≈ 2.718281828459045, φ ≈ 1.6180339887498948482, √2 ≈ <<float>>"),
    ("math", "lim_{n→∞} (1 + 1/n)^n; ∑_{k=1}^{<<10..999>>} k² = <<big>>; <<2..99>>! mod <<100..999>>"),
    ("math", "<<1..99>>/<<1..99>> + <<1..99>>/<<1..99>> - (<<1..99>> * <<1..99>>) = ?"),
    ("math", "What comes next: <<commas>>, …?"),
    (
        "math",
        "h = 6.62607015×10⁻³⁴ J·s, c = 299 792 458 m/s, N_A = 6.02214076e23, k = 1.380649×10^-23, G = 6.67430(15)e-11",
    ),
    (
        "math",
        "P(X > <<1..9>>) = 0.<<digits6>>, μ = <<decimal>>, σ² = <<decimal>>, n = <<10..9999>>, 95 % CI [<<decimal>>; <<decimal>>]",
    ),
    ("data", "Mean and median of: <<commas>>"),
    ("data", "Mean and median of: <<spaces>>"),
    ("data", "Here is my data, one value per line:\n<<column>>\nPlot a histogram."),
    ("data", "Values: <<hundreds>>. Which one is the outlier?"),
    ("data", "Ratings of our course: <<ratings>>. What is the average?"),
    ("data", "Make a chart from this table that I copied from a spreadsheet:\n<<tsv>>"),
    ("data", "Convert to JSON:\n<<csv>>"),
    ("data", "Invert this matrix:\n<<matrix>>"),
    ("data", "| Q1 | Q2 | Q3 | Q4 |\n|---|---|---|---|\n<<markdown>>\n\nAdd a row with totals."),
    ("data", "Prices:\n<<decimals>>\nSum?"),
    ("data", "Weights: <<decimal_row>>"),
    (
        "data",
        "<<city>>\t<<big>>\t<<1..99>>.<<1..9>> %\t<<iso>>\n<<city>>\t<<big>>\t<<1..99>>.<<1..9>> %\t<<iso>>",
    ),
    ("data", "x: [<<tight_commas>>]\ny: [<<tight_commas>>]\nFit a line."),
    (
        "measures",
        "Convert <<decimal>> lb to kg, <<1..9>>'<<1..11>>\" to cm, <<10..110>> °F to °C and <<1..99>> mi to km.",
    ),
    (
        "measures",
        "A room of <<2..9>>.<<10..99>> m × <<2..9>>.<<10..99>> m × 2.<<40..80>> m, <<1..40>> m², <<10..90>> dB, <<100..900>> lx, 50/60 Hz, 230 V",
    ),
    (
        "measures",
        "Tyres 205/55 R16 91V, <<1..3>>.<<1..9>> bar, <<100..400>> Nm at <<1000..6000>> rpm, <<100..250>> g/km CO₂",
    ),
    (
        "measures",
        "Recipe: <<100..900>> g flour, <<1..9>> eggs, <<100..400>> ml milk, <<1..9>>/<<2..8>> tsp salt; bake <<20..90>> min at <<160..230>> °C.",
    ),
    (
        "measures",
        "BP <<100..150>>/<<60..95>> mmHg, pulse <<50..110>>, temperature 3<<6..9>>.<<1..9>> °C, HbA1c <<4..9>>.<<1..9>> %, BMI <<18..35>>.<<1..9>>",
    ),
    (
        "measures",
        "Screen 1920x1080 @ <<60..240>> Hz, 3840 × 2160, <<10..99>> ppi, f/<<1..9>>.<<1..9>>, 1/<<100..4000>> s, ISO <<100..6400>>",
    ),
    (
        "sports",
        "Final score <<0..7>>-<<0..7>> (<<0..3>>-<<0..3>>); sets 6-<<0..4>> 4-6 7-<<5..6>> 6-3; odds <<1..9>>.<<10..99>>.",
    ),
    (
        "sports",
        "5 km in <<15..40>>:<<10..59>>, 10 km in <<35..80>>:<<10..59>>, marathon 0<<2..5>>:<<10..59>>:<<10..59>>, bib <<1..30000>>",
    ),
    (
        "sports",
        "1. e4 e5 2. Nf3 Nc6 3. Bb5 a6 4. Ba4 Nf6 <<5..30>>. O-O Be7, Elo <<1000..2800>>, <<10..90>> moves",
    ),
    (
        "sports",
        "Workout: <<3..5>>x<<5..15>> squats <<40..140>> kg, <<3..5>>x<<5..15>> bench, rest <<30..180>> s, <<100..900>> kcal",
    ),
    (
        "business",
        "KPIs: MAU <<big>> (+<<1..90>>%), churn <<1..9>>.<<1..9>>%, LTV/CAC <<1..9>>.<<1..9>>, NPS <<10..80>>, SLA 99.<<10..99>>%",
    ),
    (
        "business",
        "FY<<10..30>> Q<<1..4>>: <<1..99>>.<<1..9>>M vs. <<1..99>>.<<1..9>>M; headcount <<100..9000>>; <<us_date>>-<<us_date>>",
    ),
    (
        "business",
        "Agenda: <<time>> intro, <<time>>-<<time>> demo, <<time>> Q&A; dial-in follows; room <<100..999>>; max <<5..90>> people.",
    ),
    (
        "business",
        "Clause <<1..30>>.<<1..20>>.<<1..9>> of contract no. <<digits4>>/<<year>> of <<dots>>, annex <<1..9>>, pages <<1..40>>-<<41..99>>.",
    ),
    (
        "business",
        "Translate to Polish: \"Please call <<person>> about ticket <<digits6>> before <<time>>; reach gate <<1..90>> by <<time>>.\"",
    ),
    (
        "business",
        "Tell me how many cells a spreadsheet of <<big>> rows and <<2..99>> columns has; telemetry says <<digits8>>.",
    ),
    ("chat", "lol ok 👍 see u @ <<1..12>>ish, room #<<1..99>> 😂😂 <<1..9>>/10"),
    (
        "chat",
        "@channel: deploy <<version>> at <<time>>, cc @<<word>>.<<word>>, #<<word>>-<<1..99>>; +<<1..9>> from me, <<1..99>>% done",
    ),
    (
        "chat",
        "Thanks!! That's <<1..9>>x better than GPT-<<3..5>> :-) now shorten it to <<50..280>> chars & add <<1..5>> #hashtags",
    ),
    (
        "chat",
        "+<<1..99>> / -<<1..99>>, <<1..9>>:<<1..9>>, ~<<10..99>>k, <<1..9>>e<<1..9>>, <<1..99>>th, No.<<1..99>>, A<<1..9>>, 24/7, 9-5, 50:50",
    ),
];
