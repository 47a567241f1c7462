"""Writes answers to IFEval's prompts to compare checks on: many that follow, many that do not.

    python bench/peers/ifeval_answers.py --ifeval ifeval.jsonl \\
      --responses FILE... --out answers.jsonl

Each line has two answers to one prompt. `against` is a response to another prompt, taken from the
files (JSONL with `response`). `model` is one too, changed so that it follows the prompt's
instructions: what they ask for is added in order, and what they forbid is removed.
`npm run evaluate -- --answers` reads the result.
"""

import argparse
import json
import random
import re

TEXTS = {
    "hi": "यह एक छोटा सा उत्तर है। आज मौसम बहुत अच्छा है और हम बाहर घूमने जा रहे हैं।",
    "kn": "ಇದು ಒಂದು ಸಣ್ಣ ಉತ್ತರ. ಇಂದು ಹವಾಮಾನ ತುಂಬಾ ಚೆನ್ನಾಗಿದೆ ಮತ್ತು ನಾವು ಹೊರಗೆ ಹೋಗುತ್ತಿದ್ದೇವೆ.",
    "mr": "हे एक छोटे उत्तर आहे. आज हवामान खूप छान आहे आणि आम्ही बाहेर फिरायला जात आहोत.",
    "vi": "Đây là một câu trả lời ngắn. Hôm nay thời tiết rất đẹp và chúng tôi đang đi dạo.",
    "ko": "이것은 짧은 대답입니다. 오늘은 날씨가 아주 좋아서 우리는 산책하러 나갑니다.",
    "sw": "Hili ni jibu fupi. Leo hali ya hewa ni nzuri sana na tunakwenda nje kutembea.",
    "de": "Das ist eine kurze Antwort. Heute ist das Wetter sehr schön und wir gehen spazieren.",
    "pa": "ਇਹ ਇੱਕ ਛੋਟਾ ਜਵਾਬ ਹੈ। ਅੱਜ ਮੌਸਮ ਬਹੁਤ ਵਧੀਆ ਹੈ ਅਤੇ ਅਸੀਂ ਬਾਹਰ ਘੁੰਮਣ ਜਾ ਰਹੇ ਹਾਂ।",
    "fa": "این یک پاسخ کوتاه است. امروز هوا بسیار خوب است و ما برای پیاده‌روی بیرون می‌رویم.",
    "ru": "Это короткий ответ. Сегодня очень хорошая погода, и мы идём гулять в парк.",
    "bg": "Това е кратък отговор. Днес времето е много хубаво и ние отиваме на разходка.",
    "pt": "Esta é uma resposta curta. Hoje o tempo está muito bom e nós vamos passear no parque.",
    "gu": "આ એક ટૂંકો જવાબ છે. આજે હવામાન ખૂબ સારું છે અને અમે બહાર ફરવા જઈ રહ્યા છીએ.",
    "te": "ఇది ఒక చిన్న సమాధానం. ఈ రోజు వాతావరణం చాలా బాగుంది మరియు మేము బయటకు వెళ్తున్నాము.",
    "it": (
        "Questa è una risposta breve. Oggi il tempo è molto "
        "bello e andiamo a passeggiare nel parco."
    ),
    "ar": "هذه إجابة قصيرة. الطقس جميل جدا اليوم ونحن ذاهبون للتنزه في الحديقة.",
    "ta": "இது ஒரு சிறிய பதில். இன்று வானிலை மிகவும் நன்றாக உள்ளது, நாங்கள் வெளியே செல்கிறோம்.",
    "fi": "Tämä on lyhyt vastaus. Tänään sää on erittäin kaunis ja menemme kävelylle puistoon.",
    "ur": "یہ ایک مختصر جواب ہے۔ آج موسم بہت اچھا ہے اور ہم باہر سیر کے لیے جا رہے ہیں۔",
    "th": "นี่คือคำตอบสั้น ๆ วันนี้อากาศดีมากและเรากำลังจะออกไปเดินเล่น",
    "ne": "यो एउटा छोटो उत्तर हो। आज मौसम धेरै राम्रो छ र हामी बाहिर घुम्न जाँदैछौं।",
    "bn": "এটি একটি ছোট উত্তর। আজ আবহাওয়া খুব ভালো এবং আমরা বাইরে হাঁটতে যাচ্ছি।",
}


def sized(text: str, pattern: str, number: int, relation: str) -> str:
    """The text, longer or cut, so that its matches of `pattern` are `relation` `number`."""
    ends = [match.end() for match in re.finditer(pattern, text)]
    if relation == "less than":
        return text[: ends[max(0, number - 2)]] if len(ends) >= number else text
    return text + " It says one thing more. " * max(0, number - len(ends))


def following(text: str, kind: str, of: dict) -> str:
    """The text, changed so that it follows one instruction more."""
    match kind:
        case "keywords:existence":
            return f"{text} {' '.join(of['keywords'])}."
        case "keywords:frequency":
            word, number = of["keyword"], of["frequency"]
            if of["relation"] == "at least":
                return f"{text} {' '.join([word] * number)}."
            return re.sub(word, "", text, flags=re.I)
        case "keywords:forbidden_words":
            return re.sub(rf"\b({'|'.join(of['forbidden_words'])})\b", "", text, flags=re.I)
        case "keywords:letter_frequency":
            letter, number = of["letter"], of["let_frequency"]
            if of["let_relation"] == "at least":
                return f"{text} {letter * number}"
            return text.replace(letter.lower(), "").replace(letter.upper(), "")
        case "language:response_language":
            return TEXTS[of["language"]]
        case "length_constraints:number_sentences":
            return sized(text, r"[.!?]\s", of["num_sentences"], of["relation"])
        case "length_constraints:number_words":
            return sized(text, r"\w+", of["num_words"], of["relation"])
        case "length_constraints:number_paragraphs":
            return "\n***\n".join([text[:300].replace("*", "")] * of["num_paragraphs"])
        case "length_constraints:nth_paragraph_first_word":
            paragraphs = ["A paragraph of the answer."] * of["num_paragraphs"]
            paragraphs[of["nth_paragraph"] - 1] = f"{of['first_word']}, then more."
            return "\n\n".join(paragraphs)
        case "detectable_content:number_placeholders":
            return text + " ".join(f"[place {i}]" for i in range(of["num_placeholders"]))
        case "detectable_content:postscript":
            return f"{text}\n\n{of['postscript_marker']} There is one thing more."
        case "detectable_format:number_bullet_lists":
            lines = [re.sub(r"^\s*[-*]", "", line) for line in text.split("\n")]
            return "\n".join(lines + [f"* Point {i}" for i in range(of["num_bullets"])])
        case "detectable_format:constrained_response":
            return "My answer is maybe."
        case "detectable_format:number_highlighted_sections":
            return text + "".join(f"\n*part {i}*" for i in range(of["num_highlights"]))
        case "detectable_format:multiple_sections":
            mark, number = of["section_spliter"], of["num_sections"]
            return "".join(f"{mark} {i + 1}\n{text[:200]}\n" for i in range(number))
        case "detectable_format:json_format":
            return f"```json\n{json.dumps({'answer': text, 'parts': [1, 2.5, None]})}\n```"
        case "detectable_format:title":
            return f"<<a title>>\n{text}"
        case "combination:two_responses":
            return f"{text.replace('*', '')}\n******\nAnother response."
        case "combination:repeat_prompt":
            return f"{of['prompt_to_repeat']}\n{text}"
        case "startend:end_checker":
            return f"{text}\n{of['end_phrase']}"
        case "startend:quotation":
            return f'"{text}"'
        case "punctuation:no_comma":
            return text.replace(",", "")
        case "change_case:english_capital":
            return text.upper()
        case "change_case:english_lowercase":
            return text.lower()
        case "change_case:capital_word_frequency":
            if of["capital_relation"] == "at least":
                return text + " LOUD WELL-KNOWN WORDS, DON'T!" * of["capital_frequency"]
            return text.lower()
    raise ValueError(f"no such instruction: {kind}")


LAST = ("length_constraints", "change_case", "punctuation", "combination", "startend")


def turn(kind: str) -> int:
    """When an instruction is obeyed: those that change the whole text come last."""
    group = kind.split(":")[0]
    return LAST.index(group) if group in LAST else -1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ifeval", required=True)
    parser.add_argument("--responses", required=True, nargs="+")
    parser.add_argument("--out", required=True)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    lines = [line for file in args.responses for line in open(file, encoding="utf-8")]
    responses = [json.loads(line)["response"] for line in lines]
    with open(args.out, "w", encoding="utf-8") as out:
        for line in open(args.ifeval, encoding="utf-8"):
            row = json.loads(line)
            answer = rng.choice(responses)
            asked = list(zip(row["instruction_id_list"], row["kwargs"], strict=True))
            for kind, of in sorted(asked, key=lambda each: turn(each[0])):
                answer = following(answer, kind, of)
            pair = {"model": {"text": answer}, "against": {"text": rng.choice(responses)}}
            out.write(json.dumps({**row, **pair}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
